"""Does with a function of JITR what somebody with an account does: makes it, gives it another package, or calls it.

function.py create URL NAME PACKAGE POLICY   prints its ARN
function.py update URL NAME PACKAGE
function.py invoke URL NAME CERTIFICATE_ID   prints what it returns
"""

import json
import sys

import boto3

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}

verb, url, name, *rest = sys.argv[1:]


def client(service):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="secret of the test",
    )


def package(path):
    with open(path, "rb") as file:
        return file.read()


functions = client("lambda")
if verb == "create":
    path, policy = rest
    client("iot").create_policy(policyName=policy, policyDocument=json.dumps(ALL))
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ALL))
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="activate.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": package(path)},
        Environment={"Variables": {"POLICY_NAME": policy}},
        Timeout=30,
    )
    print(made["FunctionArn"])
elif verb == "update":
    functions.update_function_code(FunctionName=name, ZipFile=package(rest[0]))
elif verb == "invoke":
    event = {"certificateId": rest[0]}
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    text = answer["Payload"].read().decode()
    if answer.get("FunctionError"):
        sys.exit(f"{answer['FunctionError']}: {text}")
    print(text)
