/*
 * The reference of the bench: what fan-out costs where bytes are only copied.
 *
 * `reference PORT`: a connection to that port of 127.0.0.1 sends "JOIN group\n" and gets this line
 * back; each further line is a post, which goes to all members of its group, to its poster too,
 * in one order for all.
 *
 * One thread, one epoll. A round reads from every connection that is readable, and appends whole
 * lines to the round's bytes of their group: all posts of a round are joined once, whoever sent
 * them. Then every member of a group that was written to gets these bytes with one send, straight
 * out of the group's memory. Only what the kernel does not take is copied, into a backlog of that
 * member's own. There is no clock: the more comes in during one round, the larger is the next.
 * No rules, no ids, no log, no frames: a server that does any of these costs more.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 65536,
    GROUPS_MAX = 4096,
    NAME_MAX_BYTES = 64,
    LINE_MAX_BYTES = 4096,
    READ_BYTES = 65536,
    EVENTS_MAX = 1024,           /* With READ_BYTES this bounds a round to 64 MiB. */
    BACKLOG_MAX_BYTES = 1 << 24, /* Whoever is owed more is disconnected. */
};

struct bytes {
    char *start;
    size_t length, room;
};

struct group {
    char name[NAME_MAX_BYTES + 1];
    LIST_HEAD(, connection) members;
    struct bytes round; /* The lines of this round. Not empty: the group is in `written`. */
};

struct connection {
    int descriptor;
    struct group *group; /* NULL until it has joined. */
    LIST_ENTRY(connection) members;
    struct bytes line;    /* The beginning of a line whose end has not come. */
    struct bytes backlog; /* Not empty: epoll tells when the kernel takes more. */
};

static struct connection *connections[DESCRIPTORS_MAX];
static struct group groups[GROUPS_MAX];
static struct group *written[GROUPS_MAX];
static size_t group_count, written_count;
static int epoll;

static void must(bool holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void append(struct bytes *bytes, const char *more, size_t length)
{
    if (bytes->length + length > bytes->room) {
        bytes->room = 2 * (bytes->length + length);
        bytes->start = realloc(bytes->start, bytes->room);
        must(bytes->start != NULL, "memory");
    }
    memcpy(bytes->start + bytes->length, more, length);
    bytes->length += length;
}

static void watch(int operation, int descriptor, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = descriptor};
    must(epoll_ctl(epoll, operation, descriptor, &event) == 0, "epoll_ctl");
}

static void hang_up(struct connection *connection)
{
    if (connection->group != NULL)
        LIST_REMOVE(connection, members);
    connections[connection->descriptor] = NULL;
    close(connection->descriptor); /* Takes it out of the epoll, too. */
    free(connection->line.start);
    free(connection->backlog.start);
    free(connection);
}

/* Hand bytes to the kernel; says how many it took, or -1 where the connection is lost. */
static ssize_t hand_over(struct connection *connection, const char *start, size_t length)
{
    ssize_t taken = send(connection->descriptor, start, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return taken < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : taken;
}

static void deliver(struct connection *connection, const char *start, size_t length)
{
    struct bytes *backlog = &connection->backlog;
    /* What waits goes first, or the order would be lost. */
    ssize_t taken = backlog->length > 0 ? 0 : hand_over(connection, start, length);
    if (taken < 0 || backlog->length + length - (size_t)taken > BACKLOG_MAX_BYTES) {
        hang_up(connection);
    } else if ((size_t)taken < length) {
        if (backlog->length == 0)
            watch(EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | EPOLLOUT);
        append(backlog, start + taken, length - (size_t)taken);
    }
}

static void deliver_backlog(struct connection *connection)
{
    struct bytes *backlog = &connection->backlog;
    ssize_t taken = hand_over(connection, backlog->start, backlog->length);
    if (taken < 0) {
        hang_up(connection);
        return;
    }
    backlog->length -= (size_t)taken;
    memmove(backlog->start, backlog->start + taken, backlog->length);
    if (backlog->length == 0)
        watch(EPOLL_CTL_MOD, connection->descriptor, EPOLLIN);
}

static void deliver_round(void)
{
    while (written_count > 0) {
        struct group *group = written[--written_count];
        struct connection *member = LIST_FIRST(&group->members), *next;
        for (; member != NULL; member = next) {
            next = LIST_NEXT(member, members); /* The member may be gone afterwards. */
            deliver(member, group->round.start, group->round.length);
        }
        group->round.length = 0;
    }
}

/* Give the group of that name, a new one if need be; NULL where there are too many. */
static struct group *find_group(const char *name, size_t length)
{
    if (length > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < group_count; i++)
        if (groups[i].name[length] == '\0' && memcmp(groups[i].name, name, length) == 0)
            return &groups[i];
    if (group_count == GROUPS_MAX)
        return NULL;
    struct group *group = &groups[group_count++];
    memcpy(group->name, name, length);
    return group;
}

/* Take a connection's first line, without its end; says whether it has joined. */
static bool join(struct connection *connection, const char *line, size_t length)
{
    static const char command[] = "JOIN ";
    const size_t before = strlen(command);
    if (length > before && memcmp(line, command, before) == 0)
        connection->group = find_group(line + before, length - before);
    if (connection->group == NULL)
        return false;
    LIST_INSERT_HEAD(&connection->group->members, connection, members);
    return true;
}

/* Take whole lines; says whether they were right. */
static bool take(struct connection *connection, const char *lines, size_t length)
{
    if (connection->group == NULL) {
        size_t first = (size_t)((const char *)memchr(lines, '\n', length) - lines) + 1;
        if (!join(connection, lines, first - 1) || hand_over(connection, lines, first) < 0)
            return false;
        lines += first;
        length -= first;
    }
    if (length > 0) {
        if (connection->group->round.length == 0)
            written[written_count++] = connection->group;
        append(&connection->group->round, lines, length);
    }
    return true;
}

static void receive(struct connection *connection)
{
    static char buffer[LINE_MAX_BYTES + READ_BYTES];
    struct bytes *line = &connection->line;
    if (line->length > 0) /* It goes on with what is read behind it. */
        memcpy(buffer, line->start, line->length);
    ssize_t got = recv(connection->descriptor, buffer + line->length, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    size_t length = line->length + (got > 0 ? (size_t)got : 0);
    const char *last = memrchr(buffer, '\n', length);
    size_t whole = last == NULL ? 0 : (size_t)(last - buffer) + 1;
    line->length = 0;
    if (whole < length)
        append(line, buffer + whole, length - whole);
    if (got <= 0 || line->length > LINE_MAX_BYTES || (whole && !take(connection, buffer, whole)))
        hang_up(connection);
}

static void receive_connections(int listener)
{
    for (int descriptor; (descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *connection = calloc(1, sizeof *connection);
        must(connection != NULL && descriptor < DESCRIPTORS_MAX, "too many connections");
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connection->descriptor = descriptor;
        connections[descriptor] = connection;
        watch(EPOLL_CTL_ADD, descriptor, EPOLLIN);
    }
}

int main(int count, char **arguments)
{
    static struct epoll_event events[EVENTS_MAX];
    must(count == 2, "usage: reference PORT");
    struct sockaddr_in address = {
        AF_INET, htons((in_port_t)atoi(arguments[1])), {htonl(INADDR_LOOPBACK)}, {0}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(listener, SOMAXCONN) == 0, "listen");
    epoll = epoll_create1(0);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);

    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = connections[events[i].data.fd];
            if (events[i].data.fd == listener)
                receive_connections(listener);
            else if (connection != NULL && (events[i].events & EPOLLOUT))
                deliver_backlog(connection); /* Before more is read; that waits a round. */
            else if (connection != NULL)
                receive(connection);
        }
        deliver_round();
    }
}
