/* Reads DIRECTORY/mountinfo once for each line of standard input, and prints nanoseconds and mounts: what the kernel
 * needs to print it, and no reader can do without. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char page[1 << 16];
    char path[4096], line[8];
    if (argc < 2)
        return 2;
    snprintf(path, sizeof path, "%s/mountinfo", argv[1]);
    while (fgets(line, sizeof line, stdin)) {
        struct timespec from, to;
        long mounts = 0;
        ssize_t got;
        clock_gettime(CLOCK_MONOTONIC, &from);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        while (read(file, page, sizeof page) > 0)
            ;
        clock_gettime(CLOCK_MONOTONIC, &to);
        lseek(file, 0, SEEK_SET);
        while ((got = read(file, page, sizeof page)) > 0)
            for (ssize_t at = 0; at < got; at++)
                mounts += page[at] == '\n';
        close(file);
        printf("%lld %ld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec, mounts);
        fflush(stdout);
    }
    return 0;
}
