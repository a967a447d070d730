resource "aws_iot_policy" "lamps" {
  name = "lamps"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["iot:Connect"]
        Resource = ["arn:aws:iot:${data.aws_region.here.name}:${data.aws_caller_identity.me.account_id}:client/$${iot:Connection.Thing.ThingName}"]
      },
      {
        Effect   = "Allow"
        Action   = "iot:Subscribe"
        Resource = "arn:aws:iot:eu-central-1:ACCOUNT:topic/a"
      },
    ]
  })
}

resource "aws_iot_provisioning_template" "lamps" {
  name                  = "lamps"
  type                  = "JITP"
  enabled               = true
  provisioning_role_arn = aws_iam_role.jitp.arn
  template_body         = <<-EOT
    {
      "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
      "Resources": {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}, "ThingTypeName": "a lamp"}},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "${aws_iot_policy.lamps.name}"}}
      }
    }
  EOT
}
