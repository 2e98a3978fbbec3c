/*
 * Preloaded into Bochs, so that two runs are identical and any number can start at once.
 *
 * Bochs seeds the generator behind RDRAND and RDSEED from the host's time of day; without its
 * srand() the C library's fixed first seed stays. Its display rfb, which is never looked at, opens
 * a port of the host; two that try the same one at the same moment would end one of them, so no
 * port is opened and nobody is accepted.
 */
#include <stddef.h>
#include <unistd.h>

struct sockaddr;

void srand(unsigned int seed);
int bind(int socket, const struct sockaddr *address, unsigned int length);
int listen(int socket, int backlog);
int accept(int socket, struct sockaddr *address, unsigned int *length);

void srand(unsigned int seed)
{
	(void)seed;
}

int bind(int socket, const struct sockaddr *address, unsigned int length)
{
	(void)socket;
	(void)address;
	(void)length;
	return 0;
}

int listen(int socket, int backlog)
{
	(void)socket;
	(void)backlog;
	return 0;
}

int accept(int socket, struct sockaddr *address, unsigned int *length)
{
	(void)socket;
	(void)address;
	(void)length;
	for (;;)
		pause();
}
