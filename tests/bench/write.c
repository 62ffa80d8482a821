/*
 * The peer of the ring: writes the same bytes with plain write(2), from one buffer, and leaves them as durable.
 *
 *     write FILE DIRECTORY SIZE SEED
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "imgh.h"
#include "kit.h"

enum { CHUNK = 256 * 1024 };

int main(int argc, char **argv)
{
    static unsigned char buffer[CHUNK];

    if (argc != 5) {
        fprintf(stderr, "usage: write FILE DIRECTORY SIZE SEED\n");
        return 2;
    }
    uint64_t size = strtoull(argv[3], NULL, 10), seed = strtoull(argv[4], NULL, 10);
    int file = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int directory = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0 || directory < 0) {
        perror("open");
        return 1;
    }
    for (uint64_t at = 0; at < size;) {
        size_t count = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        kit_fill(buffer, count, at, seed);
        if (write(file, buffer, count) != (ssize_t)count) {
            perror(argv[1]);
            return 1;
        }
        at += count;
    }
    if (fsync(file) != 0 || fsync(directory) != 0) {
        perror("fsync");
        return 1;
    }
    return 0;
}
