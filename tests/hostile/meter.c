/* meter FILE PROGRAM ARGUMENT...
 *
 * Runs the program, and writes a line to FILE: the most memory in KiB that one process had resident, and the milliseconds
 * of processor time of all processes together; of the program and of what it started and waited for. Ends as it did.
 *
 * A program of its own, and small: the kernel counts what a process had before it became another program.
 */
#define _DEFAULT_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long milliseconds(struct timeval time) { return time.tv_sec * 1000 + time.tv_usec / 1000; }

int main(int argc, char **argv) {
  struct rusage used;
  int status;
  pid_t child;
  FILE *file;
  if (argc < 3 || (child = fork()) < 0) return 125;
  if (child == 0) {
    execv(argv[2], argv + 2);
    _exit(126);
  }
  if (wait4(child, &status, 0, &used) != child || (file = fopen(argv[1], "w")) == NULL) return 125;
  fprintf(file, "%ld %ld\n", used.ru_maxrss, milliseconds(used.ru_utime) + milliseconds(used.ru_stime));
  if (fclose(file) != 0) return 125;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  signal(WTERMSIG(status), SIG_DFL);
  raise(WTERMSIG(status));
  return 125;
}
