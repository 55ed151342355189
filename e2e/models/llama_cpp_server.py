"""Runs llama.cpp's own HTTP server, which the package xllamacpp contains, until it is terminated."""

import signal
import sys

import xllamacpp

model, port, alias, *chat_template = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {alias}
if chat_template:
    params.chat_template = chat_template[0]
params.hostnames = ["localhost"]
params.port = int(port)
# Two slots of 512 tokens each.
params.n_ctx = 1024
params.n_parallel = 2
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
signal.pause()
