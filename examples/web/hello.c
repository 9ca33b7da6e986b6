// The sample application: a web server that says which pod answered.
//
//   hello [--port N] [--page FILE] [--fail-health-after SECONDS] [--exit-after SECONDS] [--exit-code N] [--ignore-term]
//   hello check [--port N]        exit code 0 when /healthz answers 200: for exec probes
//
// GET /          the page, with {{hostname}} filled in
// GET /hostname  the host name, one line
// GET /healthz   200 "ok", or 404 once the time of --fail-health-after has passed

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kPageMax = 65536, kRequestMax = 8192, kHostMax = 256, kConnectionSeconds = 10 };

static struct {
  int port;
  const char* page;
  long fail_health_after;
  long exit_after;
  int exit_code;
  bool ignore_term;
} options = {8080, "/srv/index.html", -1, -1, 0, false};

static time_t started;
static char host[kHostMax];
static char page[kPageMax];

static time_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static void WriteAll(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t put = send(fd, bytes, size, MSG_NOSIGNAL);
    if (put <= 0) return;
    bytes += put;
    size -= (size_t)put;
  }
}

static void Answer(int fd, const char* status, const char* type, const char* body) {
  char head[512];
  const int size = snprintf(head, sizeof head,
                            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                            status, type, strlen(body));
  WriteAll(fd, head, (size_t)size);
  WriteAll(fd, body, strlen(body));
}

static void LogRequest(const char* method, const char* path, int code) {
  printf("%s %s %d\n", method, path, code);
  fflush(stdout);
}

static void Route(int fd, char* request) {
  char* rest = NULL;
  const char* method = strtok_r(request, " ", &rest);
  char* path = strtok_r(NULL, " ?\r\n", &rest);
  if (method == NULL || path == NULL) {
    Answer(fd, "400 Bad Request", "text/plain", "bad request\n");
    return;
  }
  if (strcmp(path, "/healthz") == 0) {
    const bool healthy = options.fail_health_after < 0 || Now() - started < options.fail_health_after;
    if (!healthy) LogRequest(method, path, 404);
    Answer(fd, healthy ? "200 OK" : "404 Not Found", "text/plain", healthy ? "ok" : "unhealthy");
  } else if (strcmp(path, "/hostname") == 0) {
    char line[kHostMax + 2];
    snprintf(line, sizeof line, "%s\n", host);
    LogRequest(method, path, 200);
    Answer(fd, "200 OK", "text/plain", line);
  } else if (strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0) {
    LogRequest(method, path, 200);
    Answer(fd, "200 OK", "text/html; charset=utf-8", page);
  } else {
    LogRequest(method, path, 404);
    Answer(fd, "404 Not Found", "text/plain", "not found\n");
  }
}

static void* Serve(void* argument) {
  const int fd = (int)(intptr_t)argument;
  const struct timeval limit = {kConnectionSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  char request[kRequestMax + 1];
  size_t have = 0;
  while (have < kRequestMax) {
    const ssize_t got = recv(fd, request + have, kRequestMax - have, 0);
    if (got <= 0) break;
    have += (size_t)got;
    request[have] = '\0';
    if (strstr(request, "\r\n\r\n") != NULL) {
      Route(fd, request);
      break;
    }
  }
  shutdown(fd, SHUT_WR);
  close(fd);
  return NULL;
}

static void ReadPage(void) {
  static char text[kPageMax / 2];
  snprintf(text, sizeof text, "Hello from {{hostname}}\n");
  FILE* file = fopen(options.page, "r");
  if (file != NULL) {
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
  }
  static const char kMark[] = "{{hostname}}";
  size_t at = 0;
  for (const char* in = text; *in != '\0' && at + kHostMax < sizeof page;) {
    if (strncmp(in, kMark, sizeof kMark - 1) == 0) {
      at += (size_t)snprintf(page + at, sizeof page - at, "%s", host);
      in += sizeof kMark - 1;
    } else {
      page[at++] = *in++;
    }
  }
}

static void OnTerm(int signal_number) {
  (void)signal_number;
  static const char kBye[] = "stopping\n";
  if (options.ignore_term) return;
  if (write(STDOUT_FILENO, kBye, sizeof kBye - 1) < 0) _exit(1);
  _exit(0);
}

static void OnAlarm(int signal_number) {
  (void)signal_number;
  _exit(options.exit_code);
}

static struct sockaddr_in Address(uint32_t ip) {
  struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  out.sin_addr.s_addr = htonl(ip);
  return out;
}

static int Check(void) {
  const struct sockaddr_in to = Address(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  static const char kRequest[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char answer[64] = {0};
  if (fd < 0 || connect(fd, (const struct sockaddr*)&to, sizeof to) != 0) return 1;
  WriteAll(fd, kRequest, sizeof kRequest - 1);
  if (recv(fd, answer, sizeof answer - 1, MSG_WAITALL) < 12) return 1;
  return strncmp(answer + 9, "200", 3) == 0 ? 0 : 1;
}

static void ReadOptions(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    const char* value = i + 1 < count ? words[i + 1] : "";
    if (strcmp(words[i], "check") == 0) continue;
    if (strcmp(words[i], "--ignore-term") == 0) {
      options.ignore_term = true;
      continue;
    }
    if (strcmp(words[i], "--port") == 0) {
      options.port = atoi(value);
    } else if (strcmp(words[i], "--page") == 0) {
      options.page = value;
    } else if (strcmp(words[i], "--fail-health-after") == 0) {
      options.fail_health_after = atol(value);
    } else if (strcmp(words[i], "--exit-after") == 0) {
      options.exit_after = atol(value);
    } else if (strcmp(words[i], "--exit-code") == 0) {
      options.exit_code = atoi(value);
    } else {
      fprintf(stderr, "hello: unknown option %s\n", words[i]);
      exit(2);
    }
    ++i;
  }
}

int main(int count, char** words) {
  // First of all: a container's first process never gets a signal that it has no handler for, so one that is told to
  // stop while it starts would live until it is killed.
  signal(SIGTERM, OnTerm);
  signal(SIGINT, OnTerm);
  signal(SIGALRM, OnAlarm);
  ReadOptions(count, words);
  if (count > 1 && strcmp(words[1], "check") == 0) return Check();
  started = Now();
  gethostname(host, sizeof host - 1);
  ReadPage();
  if (options.exit_after == 0) return options.exit_code;
  if (options.exit_after > 0) alarm((unsigned)options.exit_after);

  const struct sockaddr_in at = Address(INADDR_ANY);
  const int yes = 1;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (listener < 0 || bind(listener, (const struct sockaddr*)&at, sizeof at) != 0 || listen(listener, 128) != 0) {
    fprintf(stderr, "hello: listen on port %d: ", options.port);
    perror("");
    return 1;
  }
  printf("listening on port %d as %s\n", options.port, host);
  fflush(stdout);
  while (true) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 65536);
    if (pthread_create(&thread, &attributes, Serve, (void*)(intptr_t)fd) != 0) close(fd);
    pthread_attr_destroy(&attributes);
  }
}
