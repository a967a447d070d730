/* The partition esp_secure_cert as firmware reads it: entries with a header of 12 octets, data filled up to 16, and a CRC-32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CA = 0, CERTIFICATE = 1, PRIVATE_KEY = 2 };

static unsigned char octets[65536];
static size_t length;

static void read_file(const char *name) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(3);
    length = fread(octets, 1, sizeof octets - 1, file);
    octets[length] = 0;
    fclose(file);
}

/* The data of an entry, with its length; it ends the program when there is none. */
static const unsigned char *entry(int kind, size_t *len) {
    size_t at = 0;
    while (at + 16 <= length && !memcmp(octets + at, "\x11\xBA\x5E\xBA", 4)) {
        *len = octets[at + 10] | (size_t)octets[at + 11] << 8;
        if (octets[at + 8] == kind) return octets + at + 12;
        at += 12 + (*len + 15) / 16 * 16 + 4;
    }
    exit(4);
}

static int fail(const char *what, int code) {
    fprintf(stderr, "%s: %d\n", what, code);
    return 1;
}

#ifdef HEADER
#include "aws_clientcredential_keys.h"
static const char header_key[] = keyCLIENT_PRIVATE_KEY_PEM;
static const char header_certificate[] = keyCLIENT_CERTIFICATE_PEM;
#endif
