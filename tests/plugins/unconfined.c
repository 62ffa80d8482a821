/* Lets villain.c do a deed where nothing holds it back, to show that the deed is one.
 *
 *   unconfined VILLAIN.so DEED PLACE FILE     PLACE: create, status, probe, open, read, transfer, unpack
 *
 * The host here is the least that a plugin runs with: nothing is checked, output 0 is FILE as it is, and a source's
 * bytes are only counted. The process has a shared mapping of a memfd "landfall-ring" and a pair of SOCK_SEQPACKET
 * sockets. SIZE is 1 MiB. It may use 2 seconds of CPU, 512 MiB of addresses and 4096 descriptors; SIGALRM ends it after
 * 5 seconds.
 *
 * One line of JSON on standard output. Where the process is still there after the deed, and exit status 0:
 *   returned         the first status that was not 0, or 0
 *   file_bytes       size of FILE
 *   descriptors, threads, children, rss_kib    of the process
 *   socket_bytes     received from its sockets
 *   mapping_changed  whether the mapping has other bytes than before
 *   sink_bytes       given to the sink, and said_bytes, the size that the source says it has, or -1
 *   outputs          times that an output was opened, adoptions, times that a descriptor was offered, finishes
 *   log_lines        lines given to the log
 *   code_bytes, message_bytes    of the error, up to its first NUL
 * Otherwise {"ended": "exit" | "signal" | "stop", "number": N, "children": N, "most_rss_kib": N}, and unconfined ends
 * the same way; after a stop with 147. Children, also those in sessions of their own, are counted and then killed.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imgh.h"

enum { SIZE = 1 << 20, RING_BYTES = 1 << 20, RING_FILL = 0x5A, CHUNK = 65536, TEXT_BYTES = 1024 };
enum { DESCRIPTORS = 4096, FAR_FD = 2000, CPU_SECONDS = 2, SECONDS = 5, ADDRESS_BYTES = 512 << 20 };

/* Shared with the supervisor, which prints it. Empty while the deed goes on. */
static char *report;

static struct {
  int file;
  uint64_t sink_bytes;
  int64_t said_bytes;
  unsigned outputs, finishes, adoptions, log_lines;
} seen = {-1, 0, -1, 0, 0, 0, 0};

static void fail(const char *what) {
  perror(what);
  exit(2);
}

/* ---- The host ---- */

static void host_log(imgh_call *call, uint32_t level, imgh_str target, imgh_str message) {
  (void)call;
  (void)level;
  (void)target;
  if (seen.log_lines++ < 10) fprintf(stderr, "%.*s\n", (int)message.len, message.ptr);
}

static uint32_t host_log_level(void) { return IMGH_LOG_TRACE; }

static void host_progress(imgh_call *call, uint64_t done, int64_t total) {
  (void)call;
  (void)done;
  (void)total;
}

static uint32_t host_is_cancelled(imgh_call *call) {
  (void)call;
  return 0;
}

static int32_t host_cancel_fd(imgh_call *call) {
  (void)call;
  return -1;
}

static imgh_status host_secret(imgh_call *call, imgh_str name, void *buf, size_t cap, size_t *len, imgh_error *err) {
  (void)call;
  (void)name;
  (void)buf;
  (void)cap;
  *len = 0;
  return imgh_fail(err, IMGH_ERR_NOT_FOUND, "no-such-secret", "there are no secrets here");
}

static imgh_status write_at(void *ctx, const void *buf, size_t len, uint64_t offset, imgh_error *err) {
  (void)ctx;
  if (pwrite(seen.file, buf, len, (off_t)offset) == (ssize_t)len) return 0;
  return imgh_fail(err, IMGH_ERR_IO, "write", "a write failed");
}

static imgh_status zero(void *ctx, uint64_t offset, uint64_t len, imgh_error *err) {
  (void)ctx;
  if (fallocate(seen.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0) return 0;
  return imgh_fail(err, IMGH_ERR_IO, "zero", "a hole could not be made");
}

static imgh_status adopt_fd(void *ctx, int32_t fd, uint64_t fd_offset, uint64_t offset, uint64_t len,
                            imgh_error *err) {
  off_t from = (off_t)fd_offset, to = (off_t)offset;
  (void)ctx;
  seen.adoptions++;
  if (copy_file_range(fd, &from, seen.file, &to, (size_t)len, 0) == (ssize_t)len) return 0;
  return imgh_fail(err, IMGH_ERR_IO, "adopt", "a copy failed");
}

static imgh_status set_size(void *ctx, uint64_t size, imgh_error *err) {
  (void)ctx;
  return ftruncate(seen.file, (off_t)size) == 0 ? 0 : imgh_fail(err, IMGH_ERR_IO, "set-size", "no such size");
}

static imgh_status finish(void *ctx, imgh_error *err) {
  (void)ctx;
  (void)err;
  seen.finishes++;
  return 0;
}

static const imgh_output output = {sizeof output, NULL, write_at, zero, adopt_fd, set_size, finish};

static imgh_status host_open_output(imgh_call *call, uint32_t number, uint64_t size, imgh_str meta,
                                    const imgh_output **out, imgh_error *err) {
  (void)call;
  (void)number;
  (void)meta;
  seen.outputs++;
  *out = &output;
  return set_size(NULL, size, err);
}

static imgh_status host_result(imgh_call *call, imgh_str json, imgh_error *err) {
  (void)call;
  (void)json;
  (void)err;
  return 0;
}

static const void *host_get_extension(imgh_str id) {
  (void)id;
  return NULL;
}

static const imgh_host host = {
    .struct_size = sizeof(imgh_host),
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("unconfined"),
    .version = IMGH_LITERAL("0"),
    .log = host_log,
    .log_level = host_log_level,
    .progress = host_progress,
    .is_cancelled = host_is_cancelled,
    .cancel_fd = host_cancel_fd,
    .secret = host_secret,
    .open_output = host_open_output,
    .result = host_result,
    .get_extension = host_get_extension,
};

static char room_of_sink[CHUNK];

static imgh_status reserve(void *ctx, size_t want, void **buf, size_t *room, imgh_error *err) {
  (void)ctx;
  (void)err;
  *buf = room_of_sink;
  *room = want < CHUNK ? want : CHUNK;
  return 0;
}

static imgh_status commit(void *ctx, size_t filled, imgh_error *err) {
  (void)ctx;
  (void)err;
  seen.sink_bytes += filled;
  return 0;
}

static const imgh_sink sink = {sizeof sink, NULL, reserve, commit};

static imgh_status read_nothing(void *ctx, void *buf, size_t len, uint64_t offset, size_t *got, imgh_error *err) {
  (void)ctx;
  (void)buf;
  (void)len;
  (void)offset;
  (void)err;
  *got = 0;
  return 0;
}

static const imgh_input input = {sizeof input, NULL, 0, IMGH_INPUT_RANGED, -1, read_nothing};

/* ---- Processes ---- */

static pid_t parent_of(const char *pid) {
  char path[64], line[TEXT_BYTES] = {0};
  const char *behind_name;
  int parent = -1;
  FILE *stat_file;
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  if ((stat_file = fopen(path, "re")) == NULL) return -1;
  behind_name = fgets(line, sizeof line, stat_file) == NULL ? NULL : strrchr(line, ')');
  if (behind_name == NULL || sscanf(behind_name, ") %*c %d", &parent) != 1) parent = -1;
  fclose(stat_file);
  return parent;
}

/* How many children this process has. They get the signal, if it is one. */
static unsigned children(int signal_number) {
  struct dirent *entry;
  unsigned count = 0;
  DIR *processes = opendir("/proc");
  if (processes == NULL) fail("/proc");
  while ((entry = readdir(processes)) != NULL) {
    if (!isdigit((unsigned char)entry->d_name[0]) || parent_of(entry->d_name) != getpid()) continue;
    count++;
    kill((pid_t)atoi(entry->d_name), signal_number);
  }
  closedir(processes);
  return count;
}

/* A number of /proc/self/status. */
static unsigned long own(const char *name) {
  char line[TEXT_BYTES];
  unsigned long number = 0;
  FILE *status = fopen("/proc/self/status", "re");
  if (status == NULL) fail("/proc/self/status");
  while (fgets(line, sizeof line, status) != NULL)
    if (strncmp(line, name, strlen(name)) == 0) number = strtoul(line + strlen(name), NULL, 10);
  fclose(status);
  return number;
}

static void limit(int resource, rlim_t most) {
  struct rlimit now;
  if (getrlimit(resource, &now) != 0) fail("getrlimit");
  now.rlim_cur = now.rlim_max == RLIM_INFINITY || most < now.rlim_max ? most : now.rlim_max;
  if (setrlimit(resource, &now) != 0) fail("setrlimit");
}

/* ---- The deed ---- */

static imgh_status read_all(const imgh_handler *handler, imgh_instance *instance, imgh_str request, imgh_error *err) {
  const imgh_source *source = NULL;
  imgh_status status = handler->open(instance, NULL, request, &source, err);
  if (status != 0 || source == NULL) return status;
  seen.said_bytes = source->size;
  status = source->read(source->ctx, NULL, 0, SIZE, &sink, err);
  source->close(source->ctx);
  return status;
}

static imgh_status run(const imgh_plugin *plugin, const char *deed, const char *place, imgh_error *err) {
  const int transfer = strcmp(place, "transfer") == 0, unpack = strcmp(place, "unpack") == 0;
  const int configured = strcmp(place, "create") == 0 || strcmp(place, "status") == 0;
  const imgh_handler *handler = plugin->handlers[transfer ? 1 : unpack ? 2 : 0];
  imgh_instance *instance = NULL;
  char config[TEXT_BYTES] = "{}", request[TEXT_BYTES];
  imgh_status status;
  if (configured) snprintf(config, sizeof config, "{\"deed\":\"%s\",\"at\":\"%s\"}", deed, place);
  if (unpack)
    snprintf(request, sizeof request, "{\"image\":{\"deed\":\"%s/%d/at=unpack\"}}", deed, SIZE);
  else
    snprintf(request, sizeof request, "{\"location\":{\"url\":\"villain%s://%s/%d/at=%s\"}}",
             transfer ? "-transfer" : "", configured ? "fine" : deed, SIZE, configured ? "open" : place);
  if ((status = handler->create(&host, imgh_text(config), &instance, err)) != 0) return status;
  if ((status = handler->status(instance, NULL, err)) != 0) return status;
  if ((status = handler->probe(instance, NULL, imgh_text(request), err)) != 0) return status;
  status = transfer ? handler->transfer(instance, NULL, imgh_text(request), err)
           : unpack ? handler->unpack(instance, NULL, imgh_text(request), &input, err)
                    : read_all(handler, instance, imgh_text(request), err);
  handler->destroy(instance);
  return status;
}

static const imgh_plugin *load(const char *path) {
  const imgh_plugin *(*entry)(void);
  void *library = dlopen(path, RTLD_NOW), *symbol;
  if (library == NULL || (symbol = dlsym(library, "imgh_plugin_v0")) == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
  }
  memcpy(&entry, &symbol, sizeof entry);
  return entry();
}

/* Fills in the report. */
static void observe(char **arguments) {
  int sockets[2], far, ring_fd, fd;
  unsigned descriptors = 0;
  size_t socket_bytes = 0, at;
  ssize_t got;
  unsigned char *ring;
  static char message[4 << 20];
  struct stat file;
  imgh_error err = {.struct_size = sizeof err};
  const imgh_plugin *plugin = load(arguments[1]);
  imgh_status status;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) != 0) fail("socketpair");
  /* This end stays where close-all does not come, so that what was sent can be read. */
  if ((far = fcntl(sockets[1], F_DUPFD, FAR_FD)) < 0 || close(sockets[1]) != 0) fail("dup");
  ring_fd = memfd_create("landfall-ring", 0);
  if (ring_fd < 0 || ftruncate(ring_fd, RING_BYTES) != 0) fail("memfd_create");
  ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
  if (ring == MAP_FAILED) fail("mmap");
  memset(ring, RING_FILL, RING_BYTES);
  seen.file = open(arguments[4], O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (seen.file < 0) fail(arguments[4]);

  status = run(plugin, arguments[2], arguments[3], &err);

  for (at = 0; at < RING_BYTES && ring[at] == RING_FILL;) at++;
  while ((got = recv(far, message, sizeof message, MSG_DONTWAIT)) > 0) socket_bytes += (size_t)got;
  for (fd = 0; fd < DESCRIPTORS; fd++) descriptors += fcntl(fd, F_GETFD) >= 0;
  /* What follows needs a few. */
  for (fd = 3; fd < FAR_FD; fd++) close(fd);
  if (stat(arguments[4], &file) != 0) fail(arguments[4]);
  snprintf(report, TEXT_BYTES,
           "{\"returned\": %u, \"file_bytes\": %lld, \"descriptors\": %u, \"threads\": %lu, \"children\": %u, "
           "\"rss_kib\": %lu, \"socket_bytes\": %zu, \"mapping_changed\": %s, \"sink_bytes\": %llu, "
           "\"said_bytes\": %lld, \"outputs\": %u, \"adoptions\": %u, \"finishes\": %u, \"log_lines\": %u, "
           "\"code_bytes\": %zu, \"message_bytes\": %zu}",
           (unsigned)status, (long long)file.st_size, descriptors, own("Threads:"), children(0), own("VmRSS:"),
           socket_bytes, at < RING_BYTES ? "true" : "false", (unsigned long long)seen.sink_bytes,
           (long long)seen.said_bytes, seen.outputs, seen.adoptions, seen.finishes, seen.log_lines,
           strnlen(err.code, sizeof err.code), strnlen(err.message, sizeof err.message));
}

static void bound(void) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, CPU_SECONDS);
  limit(RLIMIT_AS, ADDRESS_BYTES);
  limit(RLIMIT_NOFILE, DESCRIPTORS);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("prctl");
  alarm(SECONDS);
}

int main(int count, char **arguments) {
  pid_t runner;
  int how, number;
  struct rusage used;
  unsigned left = 0, more;
  if (count != 5) {
    fprintf(stderr, "usage: unconfined VILLAIN.so DEED PLACE FILE\n");
    return 2;
  }
  report = mmap(NULL, TEXT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  /* Orphans of the runner become children of this process, whatever session they are in. */
  if (report == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("prctl");
  if ((runner = fork()) < 0) fail("fork");
  if (runner == 0) {
    bound();
    observe(arguments);
    _exit(0);
  }
  if (wait4(runner, &how, WUNTRACED, &used) != runner) fail("wait4");
  if (WIFSTOPPED(how)) {
    kill(runner, SIGKILL);
    waitpid(runner, NULL, 0);
  }
  while ((more = children(SIGKILL)) > 0) {
    left += more;
    while (more-- > 0) wait(NULL);
  }
  if (report[0] != '\0') {
    printf("%s\n", report);
    return 0;
  }
  number = WIFSTOPPED(how) ? WSTOPSIG(how) : WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how);
  printf("{\"ended\": \"%s\", \"number\": %d, \"children\": %u, \"most_rss_kib\": %ld}\n",
         WIFSTOPPED(how) ? "stop" : WIFSIGNALED(how) ? "signal" : "exit", number, left, used.ru_maxrss);
  fflush(stdout);
  if (WIFSTOPPED(how)) return 128 + number;
  if (!WIFSIGNALED(how)) return number;
  limit(RLIMIT_CORE, 0);
  raise(number);
  return 128 + number;
}
