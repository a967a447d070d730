/* Key and certificates as Mbed TLS reads them: `image FILE`, `files KEY CERTIFICATE`, or `header`. The key is proven to be the
   certificate's, and the certificate to be signed by the one behind it or, where there is none, by the CA of the image. */
#include "image.h"
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

static mbedtls_pk_context key;
static mbedtls_x509_crt own, ca;

static int judge(void) {
    unsigned int flags;
    char name[256];
    int result;
    if ((result = mbedtls_pk_check_pair(&own.pk, &key))) return fail("pair", result);
    if (own.next) ca = *own.next;
    if (ca.version != 0 && (result = mbedtls_x509_crt_verify(&own, &ca, NULL, NULL, &flags, NULL, NULL)))
        return fail("chain", (int)flags);
    mbedtls_x509_dn_gets(name, sizeof name, &own.subject);
    printf("%s %s\n", name, mbedtls_pk_get_name(&key));
    return 0;
}

int main(int count, char **arguments) {
    const unsigned char *data;
    size_t len;
    int result;
    if (count < 2) return 2;
    mbedtls_pk_init(&key);
    mbedtls_x509_crt_init(&own);
    mbedtls_x509_crt_init(&ca);
    if (!strcmp(arguments[1], "image")) {
        read_file(arguments[2]);
        data = entry(PRIVATE_KEY, &len);
        if ((result = mbedtls_pk_parse_key(&key, data, len, NULL, 0))) return fail("key", result);
        data = entry(CERTIFICATE, &len);
        if ((result = mbedtls_x509_crt_parse(&own, data, len))) return fail("certificate", result);
        data = entry(CA, &len);
        if ((result = mbedtls_x509_crt_parse(&ca, data, len))) return fail("CA", result);
    } else if (!strcmp(arguments[1], "files")) {
        if ((result = mbedtls_pk_parse_keyfile(&key, arguments[2], NULL))) return fail("key", result);
        if ((result = mbedtls_x509_crt_parse_file(&own, arguments[3]))) return fail("certificate", result);
        if (count > 4 && (result = mbedtls_x509_crt_parse_file(&ca, arguments[4]))) return fail("CA", result);
    } else {
#ifdef HEADER
        const unsigned char *text = (const unsigned char *)header_key;
        if ((result = mbedtls_pk_parse_key(&key, text, sizeof header_key, NULL, 0))) return fail("key", result);
        text = (const unsigned char *)header_certificate;
        if ((result = mbedtls_x509_crt_parse(&own, text, sizeof header_certificate))) return fail("certificate", result);
#else
        return 2;
#endif
    }
    return judge();
}
