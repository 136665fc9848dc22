#pragma once
// x-forwarded-client-cert (XFCC): what the far side of an mTLS connection proved, for the service
// behind us (Envoy: forward_client_cert_details).  Sanitised unless configured otherwise, because a
// forged one is a stolen identity.

#include "proxy/core/hcm_config.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/headers.h"

namespace pillion::core {

// Removes, keeps, extends or replaces the field as config.forward_client_cert says.  APPEND_FORWARD
// joins repeated fields, and replaces them where one is malformed (xfcc.h).  Certificates of
// more than 16 KiB are left out.
void set_client_cert_header(http::Headers& headers, const HcmConfig& config,
                            const ConnectionInfo& connection);

}  // namespace pillion::core
