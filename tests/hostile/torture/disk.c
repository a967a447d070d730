/* A disk that fails: preloaded into certforge, it lets one call in so many fail that touches the store.
 *
 *   DISK_UNDER  the store's folder, absolute
 *   DISK_ONE_IN one call in so many, chosen by DISK_SEED
 *   DISK_LOG    gets an octet for each fault
 *
 * A write may leave half of its octets behind before it fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint_fast64_t calls;

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

/* splitmix64 */
static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int is_store(const char *path) {
    const char *under = getenv("DISK_UNDER");
    return under && path && strncmp(path, under, strlen(under)) == 0;
}

static int is_store_at(int folder, const char *path) {
    char whole[8192], link[64];
    if (path[0] == '/') return is_store(path);
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, whole, 4096);
    if (n < 0) return 0;
    snprintf(whole + n, sizeof whole - n, "/%s", path);
    return is_store(whole);
}

static int is_store_file(int fd) { return is_store_at(fd, "."); }

/* Whether this call fails, and how. */
static uint64_t fault(void) {
    uint64_t one_in = number("DISK_ONE_IN");
    if (one_in == 0) return 0;
    uint64_t drawn = mixed(number("DISK_SEED") + atomic_fetch_add(&calls, 1));
    if (drawn % one_in != 0) return 0;
    const char *log = getenv("DISK_LOG");
    int fd = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        syscall(SYS_write, fd, "x", 1);
        syscall(SYS_close, fd);
    }
    errno = drawn >> 40 & 1 ? EIO : ENOSPC;
    return drawn | 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    if (is_store_at(folder, path) && fault()) return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_at(folder, path, flags, mode); }

ssize_t write(int fd, const void *octets, size_t n) {
    uint64_t drawn = is_store_file(fd) ? fault() : 0;
    if (drawn >> 41 & 1) syscall(SYS_write, fd, octets, n / 2);
    return drawn ? -1 : syscall(SYS_write, fd, octets, n);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    return is_store_file(fd) && fault() ? -1 : syscall(SYS_writev, fd, parts, n);
}

ssize_t read(int fd, void *octets, size_t n) {
    return is_store_file(fd) && fault() ? -1 : syscall(SYS_read, fd, octets, n);
}

int fsync(int fd) { return is_store_file(fd) && fault() ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return is_store_file(fd) && fault() ? -1 : NEXT(fdatasync)(fd); }

/* One of these may do what it was asked, and say that it failed. */
#define AFTER(is_of_store, call) \
    uint64_t drawn = (is_of_store) ? fault() : 0; \
    int kept = errno; \
    if (drawn == 0) return call; \
    if (drawn >> 42 & 1) (void)!call; \
    errno = kept; \
    return -1;

int rename(const char *a, const char *b) { AFTER(is_store_at(AT_FDCWD, b), NEXT(rename)(a, b)) }
int link(const char *a, const char *b) { AFTER(is_store_at(AT_FDCWD, b), NEXT(link)(a, b)) }
int linkat(int f, const char *a, int g, const char *b, int flags) {
    AFTER(is_store_at(g, b), NEXT(linkat)(f, a, g, b, flags))
}
int renameat(int f, const char *a, int g, const char *b) { AFTER(is_store_at(g, b), NEXT(renameat)(f, a, g, b)) }
int unlink(const char *path) { AFTER(is_store_at(AT_FDCWD, path), NEXT(unlink)(path)) }
int unlinkat(int f, const char *path, int flags) { AFTER(is_store_at(f, path), NEXT(unlinkat)(f, path, flags)) }
int mkdir(const char *path, mode_t mode) { AFTER(is_store_at(AT_FDCWD, path), NEXT(mkdir)(path, mode)) }
