/* Starting a program: its strings taken apart, its descriptors put in place, and execve. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STRINGS (8u << 20) /* bytes; Linux takes 6 MB at most */

const char *read_program(struct program *program, int file, uint32_t bytes, uint32_t arguments,
                         uint32_t variables)
{
    size_t words = (size_t)arguments + variables + 1, got = 0;
    struct stat about;

    if (!arguments)
        return "there is no program to run";
    if (bytes > MAX_STRINGS || words > bytes)
        return "the request's numbers make no sense";
    if (fstat(file, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size != bytes)
        return "the strings are no file of that length";
    program->strings = malloc(bytes);
    program->arguments = calloc(arguments + 1, sizeof(char *));
    program->variables = calloc(variables + 1, sizeof(char *));
    if (!program->strings || !program->arguments || !program->variables)
        return "out of memory";
    while (got < bytes) {
        ssize_t more = pread(file, program->strings + got, bytes - got, (off_t)got);
        if (more <= 0)
            return "the strings cannot be read";
        got += (size_t)more;
    }
    char *place = program->strings, *end = place + bytes;
    for (size_t number = 0; number < words; number++) {
        char *nul = memchr(place, 0, (size_t)(end - place));
        if (!nul)
            return "there are fewer strings than the request says";
        if (number == 0)
            program->folder = place;
        else if (number <= arguments)
            program->arguments[number - 1] = place;
        else
            program->variables[number - 1 - arguments] = place;
        place = nul + 1;
    }
    return place == end ? NULL : "there are more strings than the request says";
}

void forget_program(struct program *program)
{
    free(program->strings);
    free(program->arguments);
    free(program->variables);
}

static void give_up(int report, int error)
{
    (void)!write(report, &error, sizeof error);
    _exit(127);
}

/* As execvpe does, but a file that is no program is an error and not a shell script. */
static void execute(char **arguments, char **variables)
{
    const char *path = "/bin:/usr/bin", *end;
    char candidate[4096];
    int last = ENOENT, first = 0;

    if (strchr(arguments[0], '/')) {
        execve(arguments[0], arguments, variables);
        return;
    }
    for (char **each = variables; *each; each++)
        if (!strncmp(*each, "PATH=", 5))
            path = *each + 5;
    for (;; path = end + 1) {
        end = strchrnul(path, ':');
        size_t folder = (size_t)(end - path), name = strlen(arguments[0]);
        if (folder + name + 2 <= sizeof candidate) {
            memcpy(candidate, path, folder);
            candidate[folder] = '/';
            memcpy(candidate + (folder ? folder + 1 : 0), arguments[0], name + 1);
            execve(candidate, arguments, variables);
            last = errno;
        } else
            last = ENAMETOOLONG;
        if (!first && last != ENOENT && last != ENOTDIR)
            first = last;
        if (!*end)
            break;
    }
    errno = first ? first : last;
}

static void become(struct program *program, int report)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    /* First out of the way, so that none is overwritten before it was moved. */
    if ((report = fcntl(report, F_DUPFD_CLOEXEC, ABOVE)) < 0)
        _exit(127);
    for (int number = 0; number < program->count; number++) {
        int moved = fcntl(program->descriptors[number], F_DUPFD_CLOEXEC, ABOVE);
        if (moved < 0)
            give_up(report, errno);
        program->descriptors[number] = moved;
    }
    for (int number = 0; number < program->count; number++)
        if (dup2(program->descriptors[number], number) < 0)
            give_up(report, errno);
    for (int number = program->count; number < 3; number++)
        close(number);
    if (program->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
        give_up(report, errno);
    if (chdir(program->folder) < 0 && chdir("/") < 0)
        give_up(report, errno);
    execute(program->arguments, program->variables);
    give_up(report, errno);
}

pid_t start_program(struct program *program, int *error)
{
    int pipe[2];
    ssize_t told;

    *error = 0;
    if (pipe2(pipe, O_CLOEXEC) < 0) {
        *error = errno;
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(program, pipe[1]);
    if (pid < 0)
        *error = errno;
    close(pipe[1]);
    if (pid > 0) {
        /* It closes when the program is executed; a number before that is why it cannot be. */
        do
            told = read(pipe[0], error, sizeof *error);
        while (told < 0 && errno == EINTR);
        if (told != (ssize_t)sizeof *error)
            *error = 0;
        if (*error) {
            waitpid(pid, NULL, 0);
            pid = -1;
        }
    }
    close(pipe[0]);
    return pid;
}
