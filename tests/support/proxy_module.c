/* A PKCS#11 module that forwards to another one, and fails where the environment says:
 *   PROXY_MODULE        the module that it forwards to
 *   PROXY_FAIL          FUNCTION:N:CODE, the Nth call fails with the code (hexadecimal); FUNCTION:N+:CODE, it and all after it
 *   PROXY_WRONG         N or N+: the Nth signature has a bit that is wrong
 *   PROXY_CLOSE         N: before the Nth signature all sessions are closed, as another program part would
 *   PROXY_DELAY         microseconds that each signature takes longer, without work
 *   PROXY_MAX_SESSIONS  sessions that may be open at a time
 *   PROXY_LOG           a file that gets a line for each login and each initialisation
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;
static atomic_long sessions, signatures;

/* Who closes all sessions waits until nobody is within a call, which SoftHSM itself does not see to. */
static pthread_rwlock_t within = PTHREAD_RWLOCK_INITIALIZER;

static int is_due(const char *text, long count)
{
    char *rest;
    long wanted = strtol(text, &rest, 10);
    return *rest == '+' ? count >= wanted : count == wanted;
}

/* The code with which this call fails, or CKR_OK. */
static CK_RV failure(const char *name, atomic_long *calls)
{
    long count = ++*calls;
    const char *wanted = getenv("PROXY_FAIL");
    size_t length = strlen(name);
    if (!wanted || strncmp(wanted, name, length) || wanted[length] != ':')
        return CKR_OK;
    if (!is_due(wanted + length + 1, count))
        return CKR_OK;
    return strtoul(strrchr(wanted, ':') + 1, NULL, 16);
}

static void note(const char *line)
{
    const char *path = getenv("PROXY_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) {
        fprintf(log, "%s\n", line);
        fclose(log);
    }
}

#define CHECK(name) \
    static atomic_long calls; \
    CK_RV code = failure(#name, &calls); \
    if (code != CKR_OK) \
        return code

#define FORWARD(name, parameters, arguments) \
    static CK_RV our_##name parameters \
    { \
        CHECK(name); \
        pthread_rwlock_rdlock(&within); \
        code = real->name arguments; \
        pthread_rwlock_unlock(&within); \
        return code; \
    }

FORWARD(C_Finalize, (void *reserved), (reserved))
FORWARD(C_GetSlotList, (CK_BBOOL with, CK_SLOT_ID *list, unsigned long *count), (with, list, count))
FORWARD(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO *info), (slot, info))
FORWARD(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info), (session, info))
FORWARD(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, unsigned long count), (session, template, count))
FORWARD(C_FindObjects, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, unsigned long most, unsigned long *count), (session, objects, most, count))
FORWARD(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))
FORWARD(C_GetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, unsigned long count), (session, object, template, count))
FORWARD(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key))

static CK_RV our_C_Initialize(void *arguments)
{
    note("initialize");
    CHECK(C_Initialize);
    sessions = 0;
    return real->C_Initialize(arguments);
}

static CK_RV our_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, unsigned long length)
{
    note("login");
    CHECK(C_Login);
    pthread_rwlock_rdlock(&within);
    code = real->C_Login(session, user, pin, length);
    pthread_rwlock_unlock(&within);
    return code;
}

static CK_RV our_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
    CHECK(C_OpenSession);
    const char *most = getenv("PROXY_MAX_SESSIONS");
    if (++sessions > (most ? atol(most) : 1000000)) {
        --sessions;
        return CKR_SESSION_COUNT;
    }
    pthread_rwlock_rdlock(&within);
    code = real->C_OpenSession(slot, flags, application, notify, session);
    pthread_rwlock_unlock(&within);
    return code;
}

static CK_RV our_C_CloseSession(CK_SESSION_HANDLE session)
{
    CHECK(C_CloseSession);
    --sessions;
    pthread_rwlock_rdlock(&within);
    code = real->C_CloseSession(session);
    pthread_rwlock_unlock(&within);
    return code;
}

static CK_RV our_C_Sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long length, unsigned char *signature, unsigned long *signature_length)
{
    if (!signature) {
        pthread_rwlock_rdlock(&within);
        CK_RV sized = real->C_Sign(session, data, length, signature, signature_length);
        pthread_rwlock_unlock(&within);
        return sized;
    }
    CHECK(C_Sign);
    long count = ++signatures;
    const char *close = getenv("PROXY_CLOSE"), *delay = getenv("PROXY_DELAY"), *wrong = getenv("PROXY_WRONG");
    CK_SESSION_INFO info;
    if (close && is_due(close, count)) {
        pthread_rwlock_wrlock(&within);
        if (real->C_GetSessionInfo(session, &info) == CKR_OK)
            real->C_CloseAllSessions(info.slotID);
        pthread_rwlock_unlock(&within);
    }
    if (delay)
        usleep(atol(delay));
    pthread_rwlock_rdlock(&within);
    code = real->C_Sign(session, data, length, signature, signature_length);
    pthread_rwlock_unlock(&within);
    if (code == CKR_OK && wrong && is_due(wrong, count))
        signature[*signature_length - 1] ^= 1;
    return code;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
    if (!real) {
        void *module = dlopen(getenv("PROXY_MODULE"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = module ? (CK_RV (*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(module, "C_GetFunctionList") : NULL;
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        ours = *real;
        ours.C_Initialize = our_C_Initialize;
        ours.C_Finalize = our_C_Finalize;
        ours.C_GetSlotList = our_C_GetSlotList;
        ours.C_GetTokenInfo = our_C_GetTokenInfo;
        ours.C_OpenSession = our_C_OpenSession;
        ours.C_CloseSession = our_C_CloseSession;
        ours.C_GetSessionInfo = our_C_GetSessionInfo;
        ours.C_Login = our_C_Login;
        ours.C_FindObjectsInit = our_C_FindObjectsInit;
        ours.C_FindObjects = our_C_FindObjects;
        ours.C_FindObjectsFinal = our_C_FindObjectsFinal;
        ours.C_GetAttributeValue = our_C_GetAttributeValue;
        ours.C_SignInit = our_C_SignInit;
        ours.C_Sign = our_C_Sign;
    }
    *list = &ours;
    return CKR_OK;
}
