/* What a service manager is told (sd_notify(3)): datagrams to the socket named in NOTIFY_SOCKET; nothing where there is none. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/app.h"
#include "os/clock.h"

static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = 0; /* an abstract name */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

void notify_ready(const char *status)
{
	AUTO_MEM char *text = mem_printf("READY=1\nSTATUS=%s\n", status);
	notify(text);
}

void notify_reloading(void)
{
	AUTO_MEM char *text = mem_printf("RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)clock_mono_us());
	notify(text);
}

void notify_stopping(void)
{
	notify("STOPPING=1\nSTATUS=draining\n");
}
