/* safetensors: a container of any bytes is refused, or shown as DESIGN promises. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_container(data, size, "safetensors");
	return 0;
}
