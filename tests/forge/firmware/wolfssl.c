/* Key and certificates as wolfSSL reads them: `image FILE`, `files KEY CERTIFICATE`, `header`, or `pkcs12 FILE PASSWORD`. The key is
   proven to be the certificate's. */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/pkcs12.h>
#include "image.h"

/* Octets are PEM when they begin as that does, and DER otherwise. */
static int form(const unsigned char *data) { return *data == '-' ? SSL_FILETYPE_PEM : SSL_FILETYPE_ASN1; }

static int use(WOLFSSL_CTX *context, const unsigned char *key, size_t key_len, const unsigned char *chain, size_t chain_len) {
    /* A 0 at the end of PEM is the firmware's. */
    if (form(key) == SSL_FILETYPE_PEM && key[key_len - 1] == 0) key_len--;
    if (form(chain) == SSL_FILETYPE_PEM && chain[chain_len - 1] == 0) chain_len--;
    int result = form(chain) == SSL_FILETYPE_PEM
        ? wolfSSL_CTX_use_certificate_chain_buffer(context, chain, (long)chain_len)
        : wolfSSL_CTX_use_certificate_buffer(context, chain, (long)chain_len, SSL_FILETYPE_ASN1);
    if (result != SSL_SUCCESS) return fail("certificate", result);
    result = wolfSSL_CTX_use_PrivateKey_buffer(context, key, (long)key_len, form(key));
    if (result != SSL_SUCCESS) return fail("key", result);
    result = wolfSSL_CTX_check_private_key(context);
    if (result != SSL_SUCCESS) return fail("pair", result);
    puts("pair");
    return 0;
}

int main(int count, char **arguments) {
    WOLFSSL_CTX *context;
    if (count < 2) return 2;
    wolfSSL_Init();
    context = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
    if (!strcmp(arguments[1], "image")) {
        size_t key_len, len;
        read_file(arguments[2]);
        const unsigned char *key = entry(PRIVATE_KEY, &key_len);
        const unsigned char *chain = entry(CERTIFICATE, &len);
        return use(context, key, key_len, chain, len);
    }
    if (!strcmp(arguments[1], "files")) {
        unsigned char key[8192];
        read_file(arguments[2]);
        size_t key_len = length;
        if (key_len > sizeof key) return 2;
        memcpy(key, octets, key_len);
        read_file(arguments[3]);
        return use(context, key, key_len, octets, length);
    }
    if (!strcmp(arguments[1], "pkcs12")) {
        WC_PKCS12 *file = wc_PKCS12_new();
        byte *key = NULL, *own = NULL;
        word32 key_len = 0, own_len = 0;
        WC_DerCertList *others = NULL;
        int result, certificates = 0;
        read_file(arguments[2]);
        if ((result = wc_d2i_PKCS12(octets, (word32)length, file))) return fail("PKCS#12", result);
        result = wc_PKCS12_parse(file, arguments[3], &key, &key_len, &own, &own_len, &others);
        if (result) return fail("password", result);
        for (WC_DerCertList *other = others; other; other = other->next) certificates++;
        printf("%d ", certificates);
        return use(context, key, key_len, own, own_len);
    }
#ifdef HEADER
    return use(context, (const unsigned char *)header_key, sizeof header_key, (const unsigned char *)header_certificate,
               sizeof header_certificate);
#else
    return 2;
#endif
}
