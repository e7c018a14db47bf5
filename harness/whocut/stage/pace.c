/* A client's own clock: its waits pass quickly, everything that it computes takes as long as it takes.
 *
 * Preloaded into a program (LD_PRELOAD), it answers for the calls that read the time and for those that wait. While
 * every thread of the program waits, its time runs fast: at the stage's scale while the stage owes it an answer, and
 * much faster while nothing is asked, or nothing comes for minutes. It never runs past the earliest deadline, so that a wait of 13 s ends after
 * 13 s on the client's clock. While bytes are on their way between the two, and while anything is computed, it runs
 * at a tenth of the real one, so that a busy machine's delays are hardly in what is measured; where that goes on for
 * seconds, or its threads were never seen to wait all at once, it runs as the real one does. While the stage's own loop
 * is at work, or late, the client's time hardly runs either: what was written and what is written down about it are one
 * instant. A client may be several processes: while one of them computes, or is being started, no other's waits pass
 * quickly. The stage loads the same file to read that clock, and to tell what it takes and gives.
 *
 * Lock: one spin lock in the shared page; it is held for some dozen instructions. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NS 1000000000LL
#define NEVER INT64_MAX
#define STALE_NS (3 * NS) /* bytes that are not read for so long are no longer on their way */
#define LONG_NS (5 * NS / 2) /* an answer that has not begun by then (500 s on the stage) will hardly come */
#define FIRST_SLICE_NS (2 * 1000000LL)
#define SLICE_NS (20 * 1000000LL)
#define SLOTS 512
#define SLOWER 10            /* while anything is computed the client's clock is so much slower than the real one */
#define SLOW_NS (2 * NS)     /* for so long at most */
#define LATE_NS (2 * 1000000LL) /* a stage that sleeps so much longer than it wanted to is late with what it owes */
#define SLOW 0               /* the rate of such a clock */
#define CLOCKS 12
#define PROCESSES 64         /* of one client, at a time */
#define STARTS_NS (3 * NS)   /* a program that has not taken the clock by then never will */

struct page {
    _Atomic int32_t lock;
    int32_t armed; /* the client has asked for something */
    int32_t fast;  /* the process whose threads all wait; 0: time is real */
    int32_t open;  /* requests that the stage has not answered in full */
    int32_t port;  /* the stage's */
    int32_t loaded;
    int64_t scale, idle_scale;
    int64_t c_ns, t_ns; /* the client's instant at a real one */
    int64_t cap_ns;     /* the earliest deadline while it runs fast */
    int64_t sent_ns;    /* the real instant at which the client sent what the stage has not read; 0: nothing */
    int64_t given_ns;   /* the same for what the stage wrote */
    int64_t told_ns;    /* the real instant at which the stage last took or gave something */
    int64_t due_ns;     /* the real instant until which its loop wants to sleep; 0: it does not tell */
    int32_t awake;      /* its loop is at work */
    int64_t fast_ns;    /* the real instant at which the client's time last ran fast; 0: it never did */
    int64_t starts_ns;  /* the real instant at which a process of the client last began to start a program; 0: it has */
    int32_t pids[PROCESSES]; /* the client's processes; 0 is free */
    int64_t first_ns[PROCESSES]; /* the earliest deadline of each; 0: it waits for none */
};

static struct page *pace; /* the preloaded side's page; NULL: this process waits as it would */
static int blocked;
static int64_t slots[SLOTS]; /* deadlines of waiting threads; 0 is free */
static int place = -1;       /* this process's, among the client's; -1: there was no room */

/* --- the real calls ---------------------------------------------------------------------------- */

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, clock_gettime, clockid_t, struct timespec *);
REAL(int, clock_nanosleep, clockid_t, int, const struct timespec *, struct timespec *);
REAL(int, ppoll, struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
REAL(int, pselect, int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
REAL(int, epoll_pwait, int, struct epoll_event *, int, int, const sigset_t *);
REAL(int, pthread_cond_wait, pthread_cond_t *, pthread_mutex_t *);
REAL(int, pthread_cond_timedwait, pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
REAL(int, pthread_cond_clockwait, pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
REAL(int, sem_wait, sem_t *);
REAL(int, sem_timedwait, sem_t *, const struct timespec *);
REAL(int, pthread_join, pthread_t, void **);
REAL(pid_t, waitpid, pid_t, int *, int);
REAL(pid_t, wait4, pid_t, int *, int, struct rusage *);
REAL(int, close, int);
REAL(int, connect, int, const struct sockaddr *, socklen_t);
REAL(ssize_t, send, int, const void *, size_t, int);
REAL(ssize_t, sendto, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, recv, int, void *, size_t, int);
REAL(ssize_t, recvfrom, int, void *, size_t, int, struct sockaddr *, socklen_t *);
REAL(ssize_t, recvmsg, int, struct msghdr *, int);
REAL(ssize_t, read, int, void *, size_t);
REAL(ssize_t, readv, int, const struct iovec *, int);
REAL(long, syscall, long, ...);
REAL(int, execve, const char *, char *const *, char *const *);
REAL(int, execv, const char *, char *const *);
REAL(int, execvp, const char *, char *const *);
REAL(int, execvpe, const char *, char *const *, char *const *);
REAL(int, posix_spawn, pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);
REAL(int, posix_spawnp, pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);

static void *find(const char *name) {
    void *found = strncmp(name, "pthread_cond", 12) == 0 ? dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2") : NULL;
    return found ? found : dlsym(RTLD_NEXT, name);
}

static void resolve(void) {
    if (real_syscall) return;
#define FIND(name) real_##name = (__typeof__(real_##name))find(#name)
    FIND(clock_gettime); FIND(clock_nanosleep); FIND(ppoll); FIND(pselect); FIND(epoll_pwait);
    FIND(pthread_cond_wait); FIND(pthread_cond_timedwait); FIND(pthread_cond_clockwait);
    FIND(sem_wait); FIND(sem_timedwait); FIND(pthread_join); FIND(waitpid); FIND(wait4);
    FIND(close); FIND(connect); FIND(send); FIND(sendto); FIND(sendmsg); FIND(write); FIND(writev);
    FIND(recv); FIND(recvfrom); FIND(recvmsg); FIND(read); FIND(readv);
    FIND(execve); FIND(execv); FIND(execvp); FIND(execvpe); FIND(posix_spawn); FIND(posix_spawnp);
    FIND(syscall);
}

#define CALL(name) (resolve(), real_##name)

/* --- the clock --------------------------------------------------------------------------------- */

static int64_t ns_of(const struct timespec *t) { return (int64_t)t->tv_sec * NS + t->tv_nsec; }

static struct timespec spec_of(int64_t ns) {
    return (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
}

static int64_t real_ns(clockid_t clock) {
    struct timespec t;
    CALL(clock_gettime)(clock, &t);
    return ns_of(&t);
}

static void lock(struct page *p) {
    int32_t free_now = 0;
    for (int spins = 0; !__atomic_compare_exchange_n((int32_t *)&p->lock, &free_now, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
         free_now = 0)
        if (++spins > 20000) break; /* its holder was killed */
        else if (spins > 100) sched_yield();
}

static void unlock(struct page *p) { __atomic_store_n((int32_t *)&p->lock, 0, __ATOMIC_RELEASE); }

static int64_t rate(const struct page *p) {
    if (p->fast && (p->sent_ns || p->given_ns || p->awake)) return SLOW;
    if (!p->fast) return p->fast_ns && p->t_ns - p->fast_ns < SLOW_NS ? SLOW : 1;
    return p->open <= 0 ? p->idle_scale : p->t_ns - p->told_ns > LONG_NS ? p->scale * 10 : p->scale;
}

/* Bring the page up to this instant; the lock is held. */
static int64_t up_to_now(struct page *p) {
    int64_t t = real_ns(CLOCK_MONOTONIC), gone = t - p->t_ns;
    if (gone < 0) gone = 0, t = p->t_ns;
    int64_t many = rate(p), slow = many == SLOW ? gone : 0;
    if (many > 1 && p->open > 0 && p->due_ns && p->due_ns != NEVER) {
        int64_t late = t - (p->due_ns + LATE_NS);
        slow = late < 0 ? 0 : late < gone ? late : gone;
    }
    gone -= slow;
    int64_t c = !many || gone < NEVER / 2 / many ? p->c_ns + gone * many + slow / SLOWER : NEVER / 2;
    if (p->fast && c > p->cap_ns) c = p->cap_ns > p->c_ns ? p->cap_ns : p->c_ns;
    p->c_ns = c;
    p->t_ns = t - slow % SLOWER; /* what is less than a step of the slow clock is counted the next time */
    if (p->fast) p->fast_ns = t;
    if (p->sent_ns && t - p->sent_ns > STALE_NS) p->sent_ns = 0;
    if (p->given_ns && t - p->given_ns > STALE_NS) p->given_ns = 0;
    return c;
}

static int64_t client_ns(struct page *p) {
    lock(p);
    int64_t c = up_to_now(p);
    unlock(p);
    return c;
}

/* --- threads that wait ------------------------------------------------------------------------- */

static int threads(void) {
    struct stat found;
    return stat("/proc/self/task", &found) == 0 ? (int)found.st_nlink - 2 : INT_MAX;
}

enum { GONE, WAITS, WORKS };

/* What a process does, as the kernel tells it: a thread that waits for its turn works. */
static int does(int32_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return GONE;
    int found = GONE;
    for (struct dirent *task; found != WORKS && (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        char text[512], file[128];
        snprintf(file, sizeof file, "/proc/%d/task/%.16s/stat", pid, task->d_name);
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t size = CALL(read)(fd, text, sizeof text - 1);
        CALL(close)(fd);
        text[size > 0 ? size : 0] = 0;
        char *end = strrchr(text, ')'); /* its name may hold anything */
        if (end) found = end[2] == 'R' || end[2] == 'D' ? WORKS : end[2] == 'Z' || end[2] == 'X' ? found : WAITS;
    }
    closedir(tasks);
    return found;
}

/* Whether the client's other processes all wait as well; not asked under the lock. */
static int others_wait(struct page *p) {
    int kept = errno, wait = 1;
    if (p->starts_ns && real_ns(CLOCK_MONOTONIC) - p->starts_ns < STARTS_NS) return 0;
    int32_t own = getpid();
    for (int i = 0; wait && i < PROCESSES; i++) {
        int32_t pid = p->pids[i];
        int now = pid && pid != own ? does(pid) : WAITS;
        if (now == GONE) { /* what it waited for holds the clock no longer */
            lock(p);
            if (p->pids[i] == pid) p->pids[i] = p->first_ns[i] = 0;
            unlock(p);
        }
        wait = now != WORKS;
    }
    errno = kept;
    return wait;
}

static int64_t own_first(void) {
    int64_t earliest = 0;
    for (int i = 0; i < SLOTS; i++)
        if (slots[i] && (!earliest || slots[i] < earliest)) earliest = slots[i];
    return earliest;
}

static void run_fast_if_all_wait(struct page *p, int others) {
    if (!p->armed || blocked < 1 || !others) return;
    int64_t earliest = own_first();
    for (int i = 0; i < PROCESSES; i++)
        if (p->pids[i] && p->first_ns[i] && (!earliest || p->first_ns[i] < earliest)) earliest = p->first_ns[i];
    if (!earliest || (earliest == NEVER && p->open <= 0)) return;
    if (blocked < threads()) return;
    p->fast = getpid();
    p->cap_ns = earliest;
}

static int enter(int64_t deadline) {
    struct page *p = pace;
    int slot = -1, others = others_wait(p);
    lock(p);
    up_to_now(p);
    blocked++;
    for (int i = 0; deadline && i < SLOTS; i++)
        if (!slots[i]) {
            slots[slot = i] = deadline;
            break;
        }
    if (place >= 0) p->first_ns[place] = own_first();
    if (p->fast && deadline && deadline < p->cap_ns) p->cap_ns = deadline;
    run_fast_if_all_wait(p, others);
    unlock(p);
    return slot;
}

static void leave(int slot, int came) {
    struct page *p = pace;
    int kept = errno;
    lock(p);
    up_to_now(p);
    p->fast = 0; /* whichever process it was that ran fast: this one is at work now */
    if (came) p->given_ns = 0;
    blocked--;
    if (slot >= 0) slots[slot] = 0;
    if (place >= 0 && slot >= 0) p->first_ns[place] = own_first();
    unlock(p);
    errno = kept;
}

/* How long to wait in real time before looking again; 0: the deadline has come. */
static int64_t slice(int64_t deadline, int64_t *step) {
    struct page *p = pace;
    int others = others_wait(p);
    lock(p);
    int64_t c = up_to_now(p);
    if (p->fast && (!others || (p->fast != getpid() && kill(p->fast, 0) != 0))) p->fast = 0;
    if (p->fast != getpid()) run_fast_if_all_wait(p, others);
    int64_t many = rate(p);
    unlock(p);
    if (c >= deadline) return 0;
    int64_t left = deadline == NEVER || deadline - c > NEVER / SLOWER ? NEVER
        : many == SLOW ? (deadline - c) * SLOWER : (deadline - c + many - 1) / many;
    int64_t now = left < *step ? left : *step;
    *step = *step * 2 > SLICE_NS ? SLICE_NS : *step * 2;
    return now > 1000 ? now : 1000;
}

static int64_t in_ns(int64_t wait) {
    int64_t now = client_ns(pace);
    return wait > NEVER - now - 1 ? NEVER : now + wait;
}

/* How far one of the system's clocks is from the one that the page counts. */
static int64_t off_ns(clockid_t clock) {
    static int64_t known[CLOCKS], nearest[CLOCKS];
    if (!nearest[clock]) {
        for (int tries = 0; tries < 5; tries++) { /* a thread may lose its core between two readings */
            int64_t before = real_ns(CLOCK_MONOTONIC), there = real_ns(clock), gap = real_ns(CLOCK_MONOTONIC) - before + 1;
            if (nearest[clock] && gap >= nearest[clock]) continue;
            known[clock] = there - before;
            nearest[clock] = gap;
        }
    }
    return known[clock];
}

/* An instant of one of the program's clocks on ours. */
static int64_t at_ns(clockid_t clock, const struct timespec *at) {
    int64_t wait = clock == CLOCK_REALTIME
        ? ns_of(at) - off_ns(CLOCK_REALTIME)
        : ns_of(at);
    return wait > 0 ? wait : 1;
}

/* --- reading the time -------------------------------------------------------------------------- */

EXPORT int clock_gettime(clockid_t clock, struct timespec *t) {
    if (pace)
        switch (clock) {
        case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_COARSE:
            *t = spec_of(client_ns(pace));
            return 0;
        case CLOCK_REALTIME: case CLOCK_REALTIME_COARSE:
            *t = spec_of(client_ns(pace) + off_ns(CLOCK_REALTIME));
            return 0;
        case CLOCK_MONOTONIC_RAW: case CLOCK_BOOTTIME:
            *t = spec_of(client_ns(pace) + off_ns(clock));
            return 0;
        }
    return CALL(clock_gettime)(clock, t);
}

EXPORT int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    (void)zone;
    int64_t now = pace ? client_ns(pace) + off_ns(CLOCK_REALTIME) : real_ns(CLOCK_REALTIME);
    t->tv_sec = now / NS;
    t->tv_usec = now % NS / 1000;
    return 0;
}

EXPORT time_t time(time_t *kept) {
    time_t now = (pace ? client_ns(pace) + off_ns(CLOCK_REALTIME) : real_ns(CLOCK_REALTIME)) / NS;
    if (kept) *kept = now;
    return now;
}

/* --- sleeping ---------------------------------------------------------------------------------- */

static int sleep_until(int64_t deadline, struct timespec *rest) {
    int64_t step = FIRST_SLICE_NS, now;
    int slot = enter(deadline), failed = 0;
    while (!failed && (now = slice(deadline, &step))) {
        struct timespec t = spec_of(now);
        failed = CALL(clock_nanosleep)(CLOCK_MONOTONIC, 0, &t, NULL);
    }
    leave(slot, 0);
    if (failed && rest) {
        int64_t left = deadline - client_ns(pace);
        *rest = spec_of(left > 0 ? left : 0);
    }
    return failed;
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *rest) {
    if (!pace || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME))
        return CALL(clock_nanosleep)(clock, flags, t, rest);
    if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= NS) return EINVAL;
    if (flags & TIMER_ABSTIME) return sleep_until(at_ns(clock, t), NULL);
    return sleep_until(in_ns(ns_of(t)), rest);
}

EXPORT int nanosleep(const struct timespec *t, struct timespec *rest) {
    int failed = clock_nanosleep(CLOCK_MONOTONIC, 0, t, rest);
    if (failed) errno = failed;
    return failed ? -1 : 0;
}

EXPORT int usleep(useconds_t us) {
    struct timespec t = spec_of((int64_t)us * 1000);
    return nanosleep(&t, NULL);
}

EXPORT unsigned sleep(unsigned seconds) {
    struct timespec t = spec_of(seconds * NS), rest = {0};
    return nanosleep(&t, &rest) ? (unsigned)(rest.tv_sec + (rest.tv_nsec > 0)) : 0;
}

/* --- waiting for bytes ------------------------------------------------------------------------- */

static int poll_until(struct pollfd *fds, nfds_t count, int64_t deadline, const sigset_t *mask) {
    int64_t step = FIRST_SLICE_NS, now;
    int slot = enter(deadline), found;
    do {
        struct timespec t = spec_of(now = slice(deadline, &step));
        found = CALL(ppoll)(fds, count, &t, mask);
    } while (!found && now);
    leave(slot, found > 0);
    return found;
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int ms) {
    if (pace && ms != 0) return poll_until(fds, count, ms < 0 ? NEVER : in_ns(ms * 1000000LL), NULL);
    struct timespec t = spec_of(ms > 0 ? ms * 1000000LL : 0);
    return CALL(ppoll)(fds, count, ms < 0 ? NULL : &t, NULL);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t size) {
    (void)size;
    return poll(fds, count, ms);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *t, const sigset_t *mask) {
    if (!pace || (t && ns_of(t) == 0)) return CALL(ppoll)(fds, count, t, mask);
    return poll_until(fds, count, t ? in_ns(ns_of(t)) : NEVER, mask);
}

static int select_until(int count, fd_set *r, fd_set *w, fd_set *x, int64_t deadline, const sigset_t *mask) {
    int64_t step = FIRST_SLICE_NS, now;
    fd_set r0, w0, x0;
    if (r) r0 = *r;
    if (w) w0 = *w;
    if (x) x0 = *x;
    int slot = enter(deadline), found;
    do {
        if (r) *r = r0;
        if (w) *w = w0;
        if (x) *x = x0;
        struct timespec t = spec_of(now = slice(deadline, &step));
        found = CALL(pselect)(count, r, w, x, &t, mask);
    } while (!found && now);
    leave(slot, found > 0);
    return found;
}

EXPORT int select(int count, fd_set *r, fd_set *w, fd_set *x, struct timeval *t) {
    int64_t wait = t ? (int64_t)t->tv_sec * NS + t->tv_usec * 1000LL : -1;
    if (pace && wait) return select_until(count, r, w, x, wait < 0 ? NEVER : in_ns(wait), NULL);
    struct timespec given = spec_of(wait > 0 ? wait : 0);
    return CALL(pselect)(count, r, w, x, t ? &given : NULL, NULL);
}

EXPORT int pselect(int count, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *mask) {
    if (!pace || (t && ns_of(t) == 0)) return CALL(pselect)(count, r, w, x, t, mask);
    return select_until(count, r, w, x, t ? in_ns(ns_of(t)) : NEVER, mask);
}

static int epoll_until(int fd, struct epoll_event *events, int most, int64_t deadline, const sigset_t *mask) {
    int64_t step = FIRST_SLICE_NS, now;
    int slot = enter(deadline), found;
    do {
        now = slice(deadline, &step);
        found = CALL(epoll_pwait)(fd, events, most, (int)((now + 999999) / 1000000), mask);
    } while (!found && now);
    leave(slot, found > 0);
    return found;
}

EXPORT int epoll_pwait(int fd, struct epoll_event *events, int most, int ms, const sigset_t *mask) {
    if (!pace || ms == 0) return CALL(epoll_pwait)(fd, events, most, ms, mask);
    return epoll_until(fd, events, most, ms < 0 ? NEVER : in_ns(ms * 1000000LL), mask);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int most, int ms) {
    return epoll_pwait(fd, events, most, ms, NULL);
}

EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *t, const sigset_t *mask) {
    if (pace && (!t || ns_of(t))) return epoll_until(fd, events, most, t ? in_ns(ns_of(t)) : NEVER, mask);
    int64_t ms = t ? (ns_of(t) + 999999) / 1000000 : -1;
    return CALL(epoll_pwait)(fd, events, most, (int)ms, mask);
}

/* --- waiting for other threads ----------------------------------------------------------------- */

static struct timespec after(clockid_t clock, int64_t wait) { return spec_of(real_ns(clock) + wait); }

/* A slice that ends early looks like a wake-up without a reason, which these calls may have. */
static int cond_until(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *at, int named) {
    int64_t deadline = at_ns(clock, at), step = SLICE_NS;
    int slot = enter(deadline);
    int64_t now = slice(deadline, &step);
    struct timespec t = after(clock, now);
    int failed = named ? CALL(pthread_cond_clockwait)(cond, mutex, clock, &t)
                       : CALL(pthread_cond_timedwait)(cond, mutex, &t);
    if (failed == ETIMEDOUT && client_ns(pace) < deadline) failed = 0;
    leave(slot, 0);
    return failed;
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *at) {
    if (!pace) return CALL(pthread_cond_timedwait)(cond, mutex, at);
    /* Which clock a condition has is not told; the calendar is decades ahead of any machine's uptime. */
    return cond_until(cond, mutex, at->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC, at, 0);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *at) {
    if (!pace) return CALL(pthread_cond_clockwait)(cond, mutex, clock, at);
    return cond_until(cond, mutex, clock, at, 1);
}

static int sem_until(sem_t *sem, clockid_t clock, const struct timespec *at) {
    int64_t deadline = at_ns(clock, at), step = FIRST_SLICE_NS, now;
    int slot = enter(deadline), failed;
    do {
        now = slice(deadline, &step);
        struct timespec t = after(CLOCK_REALTIME, now);
        failed = CALL(sem_timedwait)(sem, &t);
    } while (failed && errno == ETIMEDOUT && now);
    leave(slot, 0);
    return failed;
}

EXPORT int sem_timedwait(sem_t *sem, const struct timespec *at) {
    return pace ? sem_until(sem, CLOCK_REALTIME, at) : CALL(sem_timedwait)(sem, at);
}

EXPORT int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *at) {
    if (pace) return sem_until(sem, clock, at);
    int64_t wait = ns_of(at) - real_ns(clock);
    struct timespec t = after(CLOCK_REALTIME, wait > 0 ? wait : 0);
    return CALL(sem_timedwait)(sem, &t);
}

/* What waits without a deadline only counts as waiting. */
#define WAITING(type, name, declared, passed) \
    EXPORT type name declared {               \
        if (!pace) return CALL(name) passed;  \
        int slot = enter(0);                  \
        type found = CALL(name) passed;       \
        leave(slot, 0);                       \
        return found;                         \
    }
WAITING(int, pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t *mutex), (cond, mutex))
WAITING(int, sem_wait, (sem_t * sem), (sem))
WAITING(int, pthread_join, (pthread_t thread, void **result), (thread, result))
WAITING(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
WAITING(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *used), (pid, status, options, used))

EXPORT long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    int command = (int)a[1] & FUTEX_CMD_MASK;
    if (!pace || number != SYS_futex || (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET))
        return CALL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    const struct timespec *t = (const struct timespec *)a[3];
    if (!t) {
        int slot = enter(0);
        long found = CALL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        leave(slot, 0);
        return found;
    }
    clockid_t clock = a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    int64_t deadline = command == FUTEX_WAIT ? in_ns(ns_of(t)) : at_ns(clock, t), step = FIRST_SLICE_NS, now;
    int slot = enter(deadline);
    long found;
    do {
        now = slice(deadline, &step);
        struct timespec until = command == FUTEX_WAIT ? spec_of(now) : after(clock, now);
        found = CALL(syscall)(number, a[0], a[1], a[2], (long)&until, a[4], a[5]);
    } while (found == -1 && errno == ETIMEDOUT && now);
    leave(slot, 0);
    return found;
}

/* --- bytes to and from the stage --------------------------------------------------------------- */

static int port_of(const struct sockaddr *name) {
    if (name->sa_family == AF_INET) return ntohs(((const struct sockaddr_in *)name)->sin_port);
    if (name->sa_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)name)->sin6_port);
    return 0;
}

static int is_stage(int fd) {
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    int kept = errno;
    int found = getpeername(fd, (struct sockaddr *)&name, &size) == 0 && port_of((struct sockaddr *)&name) == pace->port;
    errno = kept;
    return found;
}

static void sends(int fd) {
    if (!is_stage(fd)) return;
    lock(pace);
    up_to_now(pace);
    pace->sent_ns = pace->t_ns;
    unlock(pace);
}

EXPORT int connect(int fd, const struct sockaddr *name, socklen_t size) {
    if (pace && port_of(name) == pace->port) {
        lock(pace);
        up_to_now(pace);
        pace->sent_ns = pace->t_ns;
        unlock(pace);
    }
    return CALL(connect)(fd, name, size);
}

/* To leave before the answer is whole is news for the stage as well. */
EXPORT int close(int fd) {
    if (pace && (pace->open > 0 || pace->given_ns) && is_stage(fd)) {
        lock(pace);
        up_to_now(pace);
        if (pace->open > 0) pace->sent_ns = pace->t_ns;
        pace->given_ns = 0;
        unlock(pace);
    }
    return CALL(close)(fd);
}

#define SENDING(name, declared, passed)       \
    EXPORT ssize_t name declared {            \
        if (pace) sends(fd);                  \
        return CALL(name) passed;             \
    }
SENDING(send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
SENDING(sendto, (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
        (fd, data, size, flags, to, length))
SENDING(sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
SENDING(write, (int fd, const void *data, size_t size), (fd, data, size))
SENDING(writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))

/* A read that blocks waits like any other; from the stage it may be for a whole generation. */
static int reads(int fd, int flags) {
    if (!is_stage(fd)) return 1;
    if (!(flags & MSG_DONTWAIT) && !(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        struct timeval limit = {0};
        socklen_t size = sizeof limit;
        getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
        int64_t wait = (int64_t)limit.tv_sec * NS + limit.tv_usec * 1000LL;
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll_until(&one, 1, wait ? in_ns(wait) : NEVER, NULL) == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    lock(pace);
    up_to_now(pace);
    pace->given_ns = 0;
    unlock(pace);
    return 0;
}

#define READING(name, flags, declared, passed)           \
    EXPORT ssize_t name declared {                       \
        int how = pace ? reads(fd, flags) : 0;           \
        if (how < 0) return -1;                          \
        int slot = how ? enter(0) : -1;                  \
        ssize_t found = CALL(name) passed;               \
        if (how) leave(slot, 0);                         \
        return found;                                    \
    }
READING(recv, flags, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
READING(recvfrom, flags, (int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length),
        (fd, data, size, flags, from, length))
READING(recvmsg, flags, (int fd, struct msghdr *message, int flags), (fd, message, flags))
READING(read, 0, (int fd, void *data, size_t size), (fd, data, size))
READING(readv, 0, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))

/* --- both sides -------------------------------------------------------------------------------- */

static struct page *mapped(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL;
    void *found = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL(close)(fd);
    return found == MAP_FAILED ? NULL : found;
}

/* Take part, in the place of a process that is no more where none is free. */
static void take_part(struct page *p, int32_t pid) {
    place = -1;
    lock(p);
    for (int i = 0; i < PROCESSES; i++)
        if (p->pids[i] == pid) place = i; /* it was another program before */
    for (int i = 0; i < PROCESSES && place < 0; i++)
        if (!p->pids[i] || kill(p->pids[i], 0) != 0) place = i;
    if (place >= 0) {
        p->pids[place] = pid;
        p->first_ns[place] = 0;
    }
    unlock(p);
}

static void born(void) {
    blocked = 0;
    memset(slots, 0, sizeof slots);
    if (pace) take_part(pace, getpid());
}

/* Take this page from now on; for a process that was forked for one client. */
EXPORT int whocut_pace_use(const char *path) {
    resolve();
    struct page *found = mapped(path);
    if (!found) return -1;
    pace = found;
    born();
    lock(found);
    up_to_now(found);
    found->loaded++;
    found->starts_ns = 0;
    unlock(found);
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    resolve();
    pthread_atfork(NULL, NULL, born);
    const char *path = getenv("WHOCUT_PACE");
    if (path) whocut_pace_use(path);
}

__attribute__((destructor)) static void end(void) {
    if (!pace || place < 0) return;
    lock(pace);
    if (pace->pids[place] == getpid()) pace->pids[place] = pace->first_ns[place] = 0;
    unlock(pace);
}

/* --- starting a program: it computes before it can take the clock ------------------------------ */

static void starts(void) {
    if (!pace) return;
    lock(pace);
    up_to_now(pace);
    pace->starts_ns = pace->t_ns;
    pace->fast = 0;
    unlock(pace);
}

static void failed_to_start(void) {
    if (pace) pace->starts_ns = 0;
}

#define STARTING(name, declared, passed, failed) \
    EXPORT int name declared {                   \
        starts();                                \
        int found = CALL(name) passed;           \
        if (failed) failed_to_start();           \
        return found;                            \
    }
STARTING(execve, (const char *path, char *const *words, char *const *given), (path, words, given), 1)
STARTING(execv, (const char *path, char *const *words), (path, words), 1)
STARTING(execvp, (const char *file, char *const *words), (file, words), 1)
STARTING(execvpe, (const char *file, char *const *words, char *const *given), (file, words, given), 1)
STARTING(posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                       char *const *words, char *const *given), (pid, path, actions, how, words, given), found != 0)
STARTING(posix_spawnp, (pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                        char *const *words, char *const *given), (pid, file, actions, how, words, given), found != 0)

/* The stage's side: a page of its own, and what it tells. */
EXPORT void *whocut_pace_open(const char *path, long scale, long idle_scale) {
    resolve();
    struct page *p = mapped(path);
    if (!p) return NULL;
    p->scale = scale;
    p->idle_scale = idle_scale;
    p->c_ns = p->t_ns = real_ns(CLOCK_MONOTONIC);
    return p;
}

EXPORT void whocut_pace_close(void *page) { munmap(page, sizeof(struct page)); }

EXPORT int64_t whocut_pace_now(void *page) { return client_ns(page); }

EXPORT void whocut_pace_serve(void *page, int port) { ((struct page *)page)->port = port; }

EXPORT int whocut_pace_loaded(void *page) { return ((struct page *)page)->loaded; }

/* The stage's loop goes to sleep for so long (below zero: until something comes), or is at work again. */
EXPORT void whocut_pace_asleep(void *page, int64_t wait) {
    struct page *p = page;
    lock(p);
    up_to_now(p);
    p->awake = 0;
    p->due_ns = wait < 0 ? NEVER : real_ns(CLOCK_MONOTONIC) + wait;
    unlock(p);
}

EXPORT void whocut_pace_awake(void *page) {
    struct page *p = page;
    lock(p);
    up_to_now(p);
    p->awake = 1;
    unlock(p);
}

/* `read`: what the client had sent was read. `wrote`: something was written to it. `opened`: more open requests. */
EXPORT void whocut_pace_tell(void *page, int read, int wrote, int opened) {
    struct page *p = page;
    lock(p);
    up_to_now(p);
    p->told_ns = p->t_ns;
    if (read) p->sent_ns = 0;
    if (read) p->armed = 1;
    if (wrote) p->given_ns = p->t_ns;
    p->open += opened;
    unlock(p);
}
