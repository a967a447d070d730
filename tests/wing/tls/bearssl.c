/* A device with BearSSL: port, client id, root, chain, key. It knows one root, as firmware does that has it compiled in. */
#include "common.h"
#include <bearssl.h>

typedef struct {
    unsigned char *octets;
    size_t length;
} buffer;

static void append(void *to, const void *octets, size_t length) {
    buffer *into = to;
    into->octets = realloc(into->octets, into->length + length);
    memcpy(into->octets + into->length, octets, length);
    into->length += length;
}

/* The blocks of a PEM file. */
static int read_pem(const char *path, buffer *into, int most) {
    static unsigned char text[20000];
    br_pem_decoder_context pem;
    size_t at = 0, length;
    int n = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    length = fread(text, 1, sizeof text, file);
    fclose(file);
    br_pem_decoder_init(&pem);
    while (at < length) {
        at += br_pem_decoder_push(&pem, text + at, length - at);
        if (br_pem_decoder_event(&pem) == BR_PEM_BEGIN_OBJ) {
            if (n == most) return n;
            memset(&into[n], 0, sizeof into[n]);
            br_pem_decoder_setdest(&pem, append, &into[n++]);
        }
    }
    return n;
}

static int receive(void *socket, unsigned char *octets, size_t length) {
    ssize_t n = read(*(int *)socket, octets, length);
    return n <= 0 ? -1 : (int)n;
}

static int transmit(void *socket, const unsigned char *octets, size_t length) {
    ssize_t n = write(*(int *)socket, octets, length);
    return n <= 0 ? -1 : (int)n;
}

int main(int argc, char **argv) {
    static unsigned char records[BR_SSL_BUFSIZE_BIDI];
    static br_x509_decoder_context decoder;
    static br_ssl_client_context tls;
    static br_x509_minimal_context x509;
    br_skey_decoder_context key;
    br_x509_trust_anchor anchor = {0};
    br_x509_certificate certificates[4];
    br_sslio_context io;
    buffer blocks[4], chain[4], name = {0};
    unsigned char packet[300], answer[4];
    int i, n, socket, got;
    if (argc != 6 || !read_pem(argv[3], blocks, 1)) return 2;
    br_x509_decoder_init(&decoder, append, &name);
    br_x509_decoder_push(&decoder, blocks[0].octets, blocks[0].length);
    if (!br_x509_decoder_get_pkey(&decoder)) return fail("root", br_x509_decoder_last_error(&decoder));
    anchor.dn.data = name.octets;
    anchor.dn.len = name.length;
    anchor.flags = BR_X509_TA_CA;
    anchor.pkey = *br_x509_decoder_get_pkey(&decoder);
    if (!read_pem(argv[5], blocks, 1)) return 2;
    br_skey_decoder_init(&key);
    br_skey_decoder_push(&key, blocks[0].octets, blocks[0].length);
    if (br_skey_decoder_last_error(&key)) return fail("key", br_skey_decoder_last_error(&key));
    n = read_pem(argv[4], chain, 4);
    for (i = 0; i < n; i++) {
        certificates[i].data = chain[i].octets;
        certificates[i].data_len = chain[i].length;
    }
    br_ssl_client_init_full(&tls, &x509, &anchor, 1);
    br_ssl_engine_set_buffer(&tls.eng, records, sizeof records, 1);
    if (br_skey_decoder_key_type(&key) == BR_KEYTYPE_EC)
        br_ssl_client_set_single_ec(&tls, certificates, n, br_skey_decoder_get_ec(&key), BR_KEYTYPE_SIGN, BR_KEYTYPE_EC,
                                    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
    else
        br_ssl_client_set_single_rsa(&tls, certificates, n, br_skey_decoder_get_rsa(&key), br_rsa_pkcs1_sign_get_default());
    socket = dial(argv[1]);
    br_ssl_client_reset(&tls, "localhost", 0);
    br_sslio_init(&io, &tls.eng, receive, &socket, transmit, &socket);
    br_sslio_write_all(&io, packet, write_connect(packet, argv[2]));
    br_sslio_flush(&io);
    if (br_ssl_engine_last_error(&tls.eng)) return fail("handshake", br_ssl_engine_last_error(&tls.eng));
    got = br_sslio_read(&io, answer, sizeof answer);
    return tell("TLS 1.2", answer, got);
}
