/*
 * Preloaded into Bochs so that two runs are identical: Bochs seeds the generator behind RDRAND and
 * RDSEED from the host's time of day. Without its srand() the C library's fixed first seed stays.
 */
void srand(unsigned int seed);

void srand(unsigned int seed)
{
	(void)seed;
}
