/* A device with Mbed TLS: port, client id, root, chain, key. */
#include "common.h"
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

int main(int argc, char **argv) {
    mbedtls_pk_context key;
    mbedtls_x509_crt chain, root;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config config;
    mbedtls_ssl_context tls;
    mbedtls_net_context net;
    unsigned char packet[300], answer[4];
    int result;
    if (argc != 6) return 2;
    mbedtls_pk_init(&key);
    mbedtls_x509_crt_init(&chain);
    mbedtls_x509_crt_init(&root);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&tls);
    mbedtls_net_init(&net);
    mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
    if ((result = mbedtls_x509_crt_parse_file(&root, argv[3]))) return fail("root", result);
    if ((result = mbedtls_x509_crt_parse_file(&chain, argv[4]))) return fail("chain", result);
    if ((result = mbedtls_pk_parse_keyfile(&key, argv[5], NULL))) return fail("key", result);
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config, &root, NULL);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    mbedtls_ssl_conf_own_cert(&config, &chain, &key);
    mbedtls_ssl_setup(&tls, &config);
    mbedtls_ssl_set_hostname(&tls, "localhost");
    if ((result = mbedtls_net_connect(&net, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP))) return fail("tcp", result);
    mbedtls_ssl_set_bio(&tls, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    if ((result = mbedtls_ssl_handshake(&tls))) return fail("handshake", result);
    mbedtls_ssl_write(&tls, packet, write_connect(packet, argv[2]));
    return tell(mbedtls_ssl_get_ciphersuite(&tls), answer, mbedtls_ssl_read(&tls, answer, sizeof answer));
}
