/*
 * Runs a command and writes what it took: wall time, processor time and peak memory of it and of all its descendants.
 *
 *     measure RESULT OUTPUT COMMAND [ARGUMENT...]
 *
 * A process inherits the peak memory of the one that forked it, so a small program does the forking, not Python.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) {
        perror("clock_gettime");
        exit(1);
    }
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: measure RESULT OUTPUT COMMAND [ARGUMENT...]\n");
        return 2;
    }
    int output = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (output < 0) {
        perror(argv[2]);
        return 1;
    }

    double began = now();
    pid_t child = fork();
    if (child == 0) {
        if (dup2(output, STDOUT_FILENO) < 0) {
            _exit(127);
        }
        execvp(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    int status = 0;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("run");
        return 1;
    }
    double took = now() - began;

    FILE *result = fopen(argv[1], "w");
    if (result == NULL) {
        perror(argv[1]);
        return 1;
    }
    fprintf(result, "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, \"kibibytes\": %ld, \"status\": %d}\n", took,
            seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (fclose(result) != 0) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}
