/* A device with wolfSSL: port, client id, root, chain, key. */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include "common.h"

int main(int argc, char **argv) {
    WOLFSSL_CTX *context;
    WOLFSSL *tls;
    unsigned char packet[300], answer[4];
    if (argc != 6) return 2;
    wolfSSL_Init();
    context = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
    if (wolfSSL_CTX_load_verify_locations(context, argv[3], NULL) != SSL_SUCCESS) return fail("root", 0);
    if (wolfSSL_CTX_use_certificate_chain_file(context, argv[4]) != SSL_SUCCESS) return fail("chain", 0);
    if (wolfSSL_CTX_use_PrivateKey_file(context, argv[5], SSL_FILETYPE_PEM) != SSL_SUCCESS) return fail("key", 0);
    wolfSSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    tls = wolfSSL_new(context);
    wolfSSL_UseSNI(tls, 0, "localhost", 9);
    wolfSSL_check_domain_name(tls, "localhost");
    wolfSSL_set_fd(tls, dial(argv[1]));
    if (wolfSSL_connect(tls) != SSL_SUCCESS) return fail("handshake", wolfSSL_get_error(tls, 0));
    wolfSSL_write(tls, packet, (int)write_connect(packet, argv[2]));
    return tell(wolfSSL_get_cipher(tls), answer, wolfSSL_read(tls, answer, sizeof answer));
}
