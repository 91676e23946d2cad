/* model: a container of any format, found by its content, is refused, or shown as DESIGN
 * promises. */
#include "decoders/base/model.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_MODEL *model = fuzz_open(data, size, NULL);

	if (model != NULL) {
		fuzz_walk(model);
		fuzz_unedited(model);
	}
	return 0;
}
