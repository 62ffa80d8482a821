/* A client of the Landfall agent in C: sends one request and prints the answer's document.
 *
 *   cc -O2 -Wall -o landfall_client landfall_client.c
 *   landfall_client SOCKET METHOD PATH < REQUEST
 *
 * REQUEST is JSON, or nothing. Not for events, which come in chunks. Exit status: 0 the call went well, 1 it did not (the document says why), 2 there was no answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Reads all of a descriptor into memory that the caller frees; ends it with NUL. */
static char *read_all(int fd, size_t *length)
{
    size_t room = 4096, used = 0;
    char *bytes = malloc(room);
    while (bytes) {
        ssize_t got = read(fd, bytes + used, room - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got < 0)
                break;
            bytes[used] = 0;
            *length = used;
            return bytes;
        }
        used += (size_t)got;
        if (room - used < 2) {
            char *more = realloc(bytes, room *= 2);
            if (!more)
                break;
            bytes = more;
        }
    }
    free(bytes);
    return NULL;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length) {
        /* An agent that goes away is an error, not the end of this process. */
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: landfall_client SOCKET METHOD PATH < REQUEST\n");
        return 2;
    }
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "landfall_client: the socket's path is too long\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    size_t length = 0, answered = 0;
    char *body = read_all(STDIN_FILENO, &length);
    char head[1024];
    int head_length = snprintf(head, sizeof head,
                               "%s %s HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n"
                               "content-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                               argv[2], argv[3], length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!body || head_length < 0 || (size_t)head_length >= sizeof head || fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) ||
        write_all(fd, head, (size_t)head_length) || write_all(fd, body, length)) {
        perror("landfall_client");
        return 2;
    }
    char *answer = read_all(fd, &answered);
    int status = 0;
    char *document = answer ? strstr(answer, "\r\n\r\n") : NULL;
    if (!document || sscanf(answer, "HTTP/1.1 %3d", &status) != 1) {
        fprintf(stderr, "landfall_client: no answer\n");
        return 2;
    }
    fputs(document + 4, stdout);
    free(answer);
    free(body);
    close(fd);
    return status >= 200 && status < 300 ? 0 : 1;
}
