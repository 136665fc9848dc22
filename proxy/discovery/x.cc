#include "proxy/discovery/discovery.h"
