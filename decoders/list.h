/* The formats, in the order in which they are probed. A new format is one file and one
 * line here. */
DECODER(safetensors)
DECODER(keras)
DECODER(hdf5)
