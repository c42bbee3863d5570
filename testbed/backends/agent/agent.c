/* The first process of a container: starts programs that the lab asks for, and ends with the lab.
 *
 *     testbed-agent [SECONDS]
 *
 * It listens on the abstract SEQPACKET socket "testbed-agent" of its network namespace, which only
 * the lab's supervisor can reach from outside: a peer that has a pid in here is sent away.  What a
 * connection is for is told by its first message: LIFE, which the lab holds for as long as it
 * lives, or RUN, one program.  The messages are described in protocol.py beside this file.
 *
 * A program is a child of this process, so it has the container's capabilities, seccomp filter,
 * control group and namespaces.  When LIFE closes, or has not come within SECONDS (60), this
 * process ends, and the kernel ends everything else in its pid namespace.
 */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x31414254 /* "TBA1" */
#define SOCKET_NAME "testbed-agent"
#define DEFAULT_PATIENCE 60 /* seconds until LIFE must have come */

enum { LIFE = 1, RUN = 2, SIGNAL = 3, SIGNAL_GROUP = 4 };  /* requests */
enum { ALIVE = 1, STARTED = 2, FAILED = 3, ENDED = 4 };    /* answers */
enum { TERMINAL = 1 };                                     /* flags of RUN */
enum { FRESH, HOLDS_LIFE, RUNNING, OVER };                 /* states of a connection */

struct request {
    uint32_t magic, kind, number, flags, arguments, variables, bytes;
};

struct connection {
    int socket, state;
    pid_t pid;
    struct connection *next, **here;
};

static struct connection *connections;
static struct connection listening, signals, deadline; /* only their address counts */
static int waiting, life_is_held;

static void answer(struct connection *to, uint32_t kind, int32_t value, const char *text)
{
    char message[8 + 200];
    size_t length = text ? strnlen(text, 200) : 0;

    memcpy(message, &kind, 4);
    memcpy(message + 4, &value, 4);
    if (length)
        memcpy(message + 8, text, length);
    /* Nobody is waited for: whoever does not read his few answers does not get them. */
    (void)!send(to->socket, message, 8 + length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void drop(struct connection *connection)
{
    if (connection->state == HOLDS_LIFE)
        _exit(0);
    *connection->here = connection->next;
    if (connection->next)
        connection->next->here = connection->here;
    close(connection->socket);
    free(connection);
}

/* ---- requests ---------------------------------------------------------------------------- */

static const char *run(struct connection *asking, const struct request *request,
                       const int *descriptors, int count)
{
    struct program program = {.terminal = !!(request->flags & TERMINAL)};
    const char *trouble;
    int error;

    if (count < 1 || count > MAX_DESCRIPTORS + 1 || (program.terminal && count < 2))
        return "a program comes with its strings and its descriptors";
    program.count = count - 1;
    memcpy(program.descriptors, descriptors + 1, (size_t)program.count * sizeof(int));
    trouble = read_program(&program, descriptors[0], request->bytes, request->arguments,
                           request->variables);
    if (!trouble) {
        pid_t pid = start_program(&program, &error);
        if (pid > 0) {
            asking->pid = pid;
            asking->state = RUNNING;
            answer(asking, STARTED, pid, NULL);
        } else
            answer(asking, FAILED, error, strerror(error));
    }
    forget_program(&program);
    return trouble;
}

/* A group may outlive its leader, whose number may be another program's by then. */
static int belongs_to_another(const struct connection *asking)
{
    for (struct connection *each = connections; each; each = each->next)
        if (each != asking && each->state == RUNNING && each->pid == asking->pid)
            return 1;
    return 0;
}

static const char *send_signal(struct connection *asking, const struct request *request)
{
    int to_group = request->kind == SIGNAL_GROUP;

    if (request->number < 1 || request->number >= NSIG)
        return "there is no such signal";
    if (asking->state == RUNNING)
        kill(to_group ? -asking->pid : asking->pid, (int)request->number);
    else if (to_group && !belongs_to_another(asking))
        kill(-asking->pid, (int)request->number);
    return NULL;
}

static const char *obey(struct connection *asking, const struct request *request,
                        const int *descriptors, int count)
{
    if (request->magic != MAGIC)
        return "that is not a request";
    if (asking->state == FRESH && request->kind == RUN)
        return run(asking, request, descriptors, count);
    if (count)
        return "nothing but a program takes descriptors";
    if (asking->state == FRESH && request->kind == LIFE) {
        if (life_is_held)
            return "another lab holds this container";
        life_is_held = 1;
        asking->state = HOLDS_LIFE;
        answer(asking, ALIVE, 0, NULL);
        return NULL;
    }
    if (asking->state >= RUNNING && (request->kind == SIGNAL || request->kind == SIGNAL_GROUP))
        return send_signal(asking, request);
    return "this request cannot be made here";
}

static void listen_to(struct connection *asking)
{
    struct request request;
    struct iovec part = {&request, sizeof request};
    union { /* as much as the kernel ever sends, so that none is cut off and lost */
        char room[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    int descriptors[253], count = 0;
    const char *trouble;
    ssize_t length = recvmsg(asking->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length >= 0)
        for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each;
             each = CMSG_NXTHDR(&message, each))
            if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS) {
                count = (int)((each->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                memcpy(descriptors, CMSG_DATA(each), (size_t)count * sizeof(int));
            }
    if (length <= 0)
        trouble = "";
    else if (length != sizeof request || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        trouble = "that is not a request";
    else
        trouble = obey(asking, &request, descriptors, count);
    for (int number = 0; number < count; number++)
        close(descriptors[number]);
    if (trouble && *trouble)
        answer(asking, FAILED, EINVAL, trouble);
    if (trouble && (length <= 0 || asking->state != HOLDS_LIFE))
        drop(asking); /* life ends by being closed, not by a word that makes no sense */
}

/* ---- events ------------------------------------------------------------------------------ */

static void watch(int descriptor, struct connection *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    if (epoll_ctl(waiting, EPOLL_CTL_ADD, descriptor, &event) < 0)
        _exit(1);
}

static void take_connection(int listener)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (socket < 0)
        return;
    struct connection *connection = calloc(1, sizeof *connection);
    /* Whoever has a number in this pid namespace is one of the programs in here. */
    if (!connection || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
        peer.pid != 0) {
        free(connection);
        close(socket);
        return;
    }
    connection->socket = socket;
    connection->next = connections;
    connection->here = &connections;
    if (connections)
        connections->here = &connection->next;
    connections = connection;
    watch(socket, connection);
}

/* Programs that have ended, and orphans that they left to us. */
static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (struct connection *each = connections; each; each = each->next)
            if (each->state == RUNNING && each->pid == pid) {
                each->state = OVER;
                answer(each, ENDED,
                       WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), NULL);
            }
}

static void take_signal(int descriptor)
{
    struct signalfd_siginfo about;

    while (read(descriptor, &about, sizeof about) == (ssize_t)sizeof about)
        /* Docker asks us to end; a program in here, which has a number, may not. */
        if (about.ssi_signo != SIGCHLD && about.ssi_pid == 0)
            _exit(0);
    reap();
}

static int make_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(SOCKET_NAME);
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path + 1, SOCKET_NAME, strlen(SOCKET_NAME));
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, (socklen_t)length) < 0 ||
        listen(descriptor, 128) < 0)
        _exit(2);
    return descriptor;
}

static int make_deadline(const char *seconds)
{
    struct itimerspec when = {.it_value.tv_sec = seconds ? atoi(seconds) : DEFAULT_PATIENCE};
    int descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    if (descriptor < 0 || timerfd_settime(descriptor, 0, &when, NULL) < 0)
        _exit(3);
    return descriptor;
}

int main(int count, char **words)
{
    struct epoll_event event;
    sigset_t set;
    int nothing;

    while ((nothing = open("/dev/null", O_RDWR)) >= 0 && nothing < 3)
        ; /* so that what we are sent never becomes our own input or output */
    close(nothing);
    if (close_range(3, ~0u, 0) < 0) /* what we inherited is not for the programs */
        for (int number = 3; number < 1024; number++)
            close(number);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    waiting = epoll_create1(EPOLL_CLOEXEC);
    int listener = make_listener();
    int ended = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int end = make_deadline(count > 1 ? words[1] : NULL);
    watch(listener, &listening);
    watch(ended, &signals);
    watch(end, &deadline);
    for (;;) {
        if (epoll_wait(waiting, &event, 1, -1) != 1)
            continue;
        struct connection *source = event.data.ptr;
        if (source == &listening)
            take_connection(listener);
        else if (source == &signals)
            take_signal(ended);
        else if (source != &deadline)
            listen_to(source);
        else if (!life_is_held)
            _exit(4);
        else
            epoll_ctl(waiting, EPOLL_CTL_DEL, end, NULL);
    }
}
