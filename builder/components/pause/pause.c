/*
 * The process that holds a pod's namespaces open. With a shared PID namespace it is the pod's PID 1 and inherits orphans,
 * so it reaps children; being PID 1, it would ignore every signal that it has no handler for, so it has some.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int signal)
{
	(void)signal;
	_exit(0);
}

static void reap(int signal)
{
	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	const struct sigaction on_quit = { .sa_handler = quit };
	const struct sigaction on_child = { .sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART };

	if (sigaction(SIGINT, &on_quit, NULL) || sigaction(SIGTERM, &on_quit, NULL) || sigaction(SIGCHLD, &on_child, NULL))
		return 1;
	for (;;)
		pause();
}
