/* A program that is to be started in this container. */
#ifndef TESTBED_PROGRAM_H
#define TESTBED_PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

#define MAX_DESCRIPTORS 16 /* of a program */
#define ABOVE 64 /* descriptors from here on are out of the way of a program's own */

struct program {
    char *strings; /* all of them behind each other, each with its NUL */
    char *folder, **arguments, **variables;
    int descriptors[MAX_DESCRIPTORS], count;
    int terminal; /* descriptor 0 is to be its controlling terminal */
};

/* Take the strings in `file` (folder, arguments, variables) apart; says what is wrong with them, or
 * NULL.  Whatever it says, forget_program() gives the memory back. */
const char *read_program(struct program *program, int file, uint32_t bytes, uint32_t arguments,
                         uint32_t variables);
void forget_program(struct program *program);

/* Start it as the leader of a session; its pid, or -1 and the error of the call that failed. */
pid_t start_program(struct program *program, int *error);

#endif
