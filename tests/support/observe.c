/*
 * Runs a command that can write to some file systems only, and tells what it wrote there and how much memory it took.
 *
 *     observe REPORT DIRECTORY... -- COMMAND [ARGUMENT...]
 *
 * Each DIRECTORY is where a file system is mounted that nobody else uses; for the command all others are read-only. When
 * it has ended, and all its descendants with it, REPORT has these lines:
 *
 *     file DEVICE INODE SIZE ALLOCATED LINKS PATH
 *                             a file that was written, truncated or mapped for writing, as it is now; one that was
 *                             removed has no links, and is kept until now, so that what it takes can be told
 *     room DIRECTORY BYTES    how much more is allocated in this file system, those files included
 *     memory PID BYTES        the most that a process had resident
 *
 * Ends as the command does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIRECTORIES = 8, FILES = 256, PROCESSES = 256 };

struct written {
  dev_t device;
  ino_t inode;
};

struct process {
  pid_t pid;
  long long bytes;
  /* Whether that was seen when it was about to end. */
  int seen;
};

static struct process processes[PROCESSES];
static int process_count;

static void fail(const char *what) {
  fprintf(stderr, "observe: %s: %s\n", what, strerror(errno));
  exit(125);
}

static void set_mount(const char *path, unsigned flags, uint64_t set, uint64_t clear) {
  struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
  if (syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof attr) != 0) fail(path);
}

static long long allocated(const char *directory) {
  struct statvfs stat;
  if (statvfs(directory, &stat) != 0) fail(directory);
  return (long long)(stat.f_blocks - stat.f_bfree) * (long long)stat.f_frsize;
}

/* Waits until it is traced, gives up the right to write elsewhere, and becomes the command. */
static void become(int ready, char **directories, int count, char **command) {
  char byte;
  int at;
  if (read(ready, &byte, 1) != 1) _exit(125);
  if (unshare(CLONE_NEWNS) != 0) fail("unshare");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make the mounts private");
  set_mount("/", AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0);
  for (at = 0; at < count; at++) set_mount(directories[at], 0, 0, MOUNT_ATTR_RDONLY);
  execvp(command[0], command);
  fail(command[0]);
}

/* A number of a process's status, of the line that begins so. */
static long long status_number(pid_t pid, const char *name) {
  char path[64], line[256];
  long long number = -1;
  FILE *file;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  if ((file = fopen(path, "re")) == NULL) return -1;
  while (number < 0 && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, name, strlen(name)) == 0) number = atoll(line + strlen(name));
  fclose(file);
  return number;
}

static struct process *process(pid_t pid) {
  int at;
  for (at = 0; at < process_count; at++)
    if (processes[at].pid == pid) return &processes[at];
  return NULL;
}

/* A thread begins; that of a new process has its number. */
static void note_begin(pid_t thread) {
  if (process(thread) != NULL || status_number(thread, "Tgid:") != thread) return;
  if (process_count == PROCESSES) fail("too many processes");
  processes[process_count++].pid = thread;
}

/* A thread is about to end, and its memory is still there unless it was killed at this moment. */
static void note_end(pid_t thread) {
  const pid_t pid = (pid_t)status_number(thread, "Tgid:");
  const long long kib = status_number(thread, "VmHWM:");
  struct process *found = process(pid);
  if (found == NULL || kib < 0) return;
  if (kib * 1024 > found->bytes) found->bytes = kib * 1024;
  found->seen |= pid == thread;
}

/* It has ended. The kernel's own number knows no less, but counts those in that it waited for. */
static void note_gone(pid_t pid, const struct rusage *usage) {
  struct process *found = process(pid);
  if (found != NULL && !found->seen && usage->ru_maxrss * 1024 > found->bytes) found->bytes = usage->ru_maxrss * 1024;
}

/* Follows all descendants to their ends; gives the status of the first. */
static int follow(pid_t first) {
  int status, outcome = 0;
  struct rusage usage;
  pid_t pid;
  note_begin(first);
  while ((pid = wait4(-1, &status, __WALL, &usage)) > 0) {
    const int event = (int)((unsigned)status >> 16);
    if (!WIFSTOPPED(status)) {
      note_gone(pid, &usage);
      if (pid == first) outcome = status;
      continue;
    }
    if (event == PTRACE_EVENT_STOP) note_begin(pid);
    if (event == PTRACE_EVENT_EXIT) note_end(pid);
    /* It may have been killed meanwhile. */
    ptrace(PTRACE_CONT, pid, NULL, (void *)(long)(event != 0 ? 0 : WSTOPSIG(status)));
  }
  if (errno != ECHILD) fail("wait");
  return outcome;
}

static int is_new(struct written *files, int *count, const struct stat *meta) {
  int at;
  for (at = 0; at < *count; at++)
    if (files[at].device == meta->st_dev && files[at].inode == meta->st_ino) return 0;
  if (*count == FILES) fail("too many files");
  files[*count].device = meta->st_dev;
  files[(*count)++].inode = meta->st_ino;
  return 1;
}

static void report_files(int group, FILE *report) {
  static struct written files[FILES];
  static char events[65536] __attribute__((aligned(8)));
  int count = 0;
  ssize_t len;
  while ((len = read(group, events, sizeof events)) > 0) {
    const struct fanotify_event_metadata *event = (void *)events;
    for (; FAN_EVENT_OK(event, len); event = FAN_EVENT_NEXT(event, len)) {
      char link[64], path[PATH_MAX];
      struct stat meta;
      ssize_t end;
      if (event->fd < 0 || fstat(event->fd, &meta) != 0) fail("an event");
      snprintf(link, sizeof link, "/proc/self/fd/%d", event->fd);
      if ((end = readlink(link, path, sizeof path - 1)) < 0) fail("the path of a file");
      path[end] = '\0';
      if (is_new(files, &count, &meta))
        fprintf(report, "file %llu %llu %lld %lld %lu %s\n", (unsigned long long)meta.st_dev,
                (unsigned long long)meta.st_ino, (long long)meta.st_size, (long long)meta.st_blocks * 512,
                (unsigned long)meta.st_nlink, path);
      close(event->fd);
    }
  }
  if (len < 0 && errno != EAGAIN) fail("read events");
}

int main(int argc, char **argv) {
  const unsigned kind = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE;
  const long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT |
                       PTRACE_O_EXITKILL;
  char **directories = argv + 2;
  long long before[DIRECTORIES];
  int count = 0, at, group, outcome, ready[2];
  pid_t child;
  FILE *report;
  while (2 + count < argc && strcmp(directories[count], "--") != 0) count++;
  if (count == 0 || count > DIRECTORIES || 3 + count >= argc) {
    fprintf(stderr, "usage: observe REPORT DIRECTORY... -- COMMAND [ARGUMENT...]\n");
    return 2;
  }

  if ((group = fanotify_init(kind, O_RDONLY | O_LARGEFILE | O_CLOEXEC)) < 0) fail("fanotify_init");
  for (at = 0; at < count; at++) {
    const uint64_t seen = FAN_MODIFY | FAN_CLOSE_WRITE;
    if (fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, seen, AT_FDCWD, directories[at]) != 0)
      fail(directories[at]);
    before[at] = allocated(directories[at]);
  }
  if (pipe2(ready, O_CLOEXEC) != 0 || (child = fork()) < 0) fail("fork");
  if (child == 0) become(ready[0], directories, count, directories + count + 1);
  if (ptrace(PTRACE_SEIZE, child, NULL, (void *)options) != 0) fail("trace");
  if (write(ready[1], "", 1) != 1) fail("begin");
  outcome = follow(child);

  if ((report = fopen(argv[1], "we")) == NULL) fail(argv[1]);
  /* What was removed is still held by its events. */
  for (at = 0; at < count; at++)
    fprintf(report, "room %s %lld\n", directories[at], allocated(directories[at]) - before[at]);
  report_files(group, report);
  for (at = 0; at < process_count; at++)
    fprintf(report, "memory %d %lld\n", processes[at].pid, processes[at].bytes);
  if (fclose(report) != 0) fail(argv[1]);
  return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 128 + WTERMSIG(outcome);
}
