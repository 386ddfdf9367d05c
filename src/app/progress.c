#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/app.h"
#include "os/clock.h"

#define REDRAW_US 100000
#define PLAIN_US 10000000
#define BAR 16
#define NAME 18

void progress_begin(struct progress *p, const char *what)
{
	const char *term = getenv("TERM");
	*p = (struct progress){
		.what = what,
		.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
		.start = clock_mono_us(),
	};
	p->last = p->start;
}

/* The end of a long name: a line that wraps could not be redrawn. */
static const char *short_name(const char *what)
{
	const size_t n = strlen(what);
	const char *s = n > NAME ? what + n - NAME : what;
	while (((unsigned char)*s & 0xc0) == 0x80)
		s++;
	return s;
}

static int terminal_columns(void)
{
	struct winsize w;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

static void draw(struct progress *p, uint64_t done, uint64_t total, uint64_t events, int64_t now)
{
	char bytes[16], rate[16], count[32], bar[BAR + 1] = { 0 }, left[32] = "";
	double seconds = (double)(now - p->start) / 1e6;
	double speed = seconds > 0 ? (double)done / seconds : 0;
	format_bytes(done, bytes);
	format_bytes((uint64_t)speed, rate);
	format_count(events, count);
	if (total) {
		size_t full = (size_t)((double)done / (double)total * BAR);
		for (size_t i = 0; i < BAR; i++)
			bar[i] = i < full ? '#' : '.';
		double eta = speed > 0 && total > done ? (double)(total - done) / speed : 0;
		if (eta >= 60)
			snprintf(left, sizeof left, "  %dm%02ds left", (int)eta / 60, (int)eta % 60);
		else
			snprintf(left, sizeof left, "  %ds left", (int)(eta + 0.5));
	}
	if (p->terminal) {
		char line[200], more[64];
		const int columns = terminal_columns();
		int len = total ? snprintf(line, sizeof line, "%s [%s] %3d%%  %s  %s/s%s", short_name(p->what), bar,
					   (int)((double)done / (double)total * 100), bytes, rate, left)
				: snprintf(line, sizeof line, "%s  %s  %s/s", short_name(p->what), bytes, rate);
		int more_len = snprintf(more, sizeof more, "  %s events", count);
		fprintf(stderr, "\r\033[K%.*s%s", columns - 1, line, len + more_len < columns ? more : "");
	} else {
		fprintf(stderr, "%s: %s, %s/s, %s events%s\n", p->what, bytes, rate, count, left);
	}
	fflush(stderr);
	p->drawn = true;
}

void progress_update(void *ctx, uint64_t done, uint64_t total, uint64_t events)
{
	struct progress *p = ctx;
	int64_t now = clock_mono_us();
	if (now - p->last < (p->terminal ? REDRAW_US : PLAIN_US))
		return;
	p->last = now;
	draw(p, done, total, events, now);
}

void progress_end(struct progress *p)
{
	if (p->terminal && p->drawn)
		fprintf(stderr, "\r\033[K");
	p->drawn = false;
}
