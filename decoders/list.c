/* list: the table of formats that model_open() probes, made from list.h. */
#include "decoders/base/model.h"

#define DECODER(name) extern const struct decoder name##_decoder;
#include "decoders/list.h"
#undef DECODER

const struct decoder *const decoder_list[] = {
#define DECODER(name) &name##_decoder,
#include "decoders/list.h"
#undef DECODER
	NULL,
};
