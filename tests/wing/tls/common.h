/* What the clients share: the CONNECT that they send, and how they tell of the answer. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* MQTT 3.1.1, 3.1: keep-alive 60 s, clean session. Returns its length. */
static size_t write_connect(unsigned char *packet, const char *client_id) {
    size_t length = strlen(client_id);
    packet[0] = 0x10;
    packet[1] = (unsigned char)(12 + length);
    memcpy(packet + 2, "\0\4MQTT\4\2\0\74\0", 11);
    packet[13] = (unsigned char)length;
    memcpy(packet + 14, client_id, length);
    return 14 + length;
}

static int tell(const char *suite, const unsigned char *answer, int length) {
    int i;
    printf("%s ", suite);
    for (i = 0; i < length; i++) printf("%02x", answer[i]);
    printf("\n");
    return 0;
}

static int fail(const char *what, int code) {
    fprintf(stderr, "%s: %d\n", what, code);
    return 1;
}

static int dial(const char *port) {
    struct sockaddr_in address = {0};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    return connect(s, (struct sockaddr *)&address, sizeof address) ? -1 : s;
}
