#pragma once
// Server: the process.  Owns the control thread's loop (the calling thread), the workers, the log
// writer and the registry; lives from the first configuration to the last drained connection.

#include "proxy/options.h"

namespace pillion {

// Runs until SIGTERM, SIGINT or /quitquitquit and returns the exit code: 0 after an orderly end, 1 if
// the configuration is wrong or an address cannot be bound (said on stderr before anything listens).
int run_server(const Options& options);

}  // namespace pillion
