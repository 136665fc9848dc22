#include "certs/ca_service.h"

#include <algorithm>

#include "certs/ca_messages.h"
#include "proxy/base/str.h"
#include "proxy/tls/csr.h"
#include "proxy/upstream/grpc_call.h"

namespace pillion::certs {
namespace {

// Certificates begin a little in the past, for clocks differ; of a short life only a tenth, or
// those who count from there would renew at once.
constexpr int64_t kClockSkew = 300;

// RFC 6750, 2.1; the scheme in any case (RFC 9110, 11.1).
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (!equals_ignore_case(authorization.substr(0, kScheme.size()), kScheme)) return {};
  return trim(authorization.substr(kScheme.size()));
}

CaService::Reply refused(uint32_t status, std::string message, std::string identity = {}) {
  return {status, std::move(message), {}, std::move(identity), 0};
}

}  // namespace

CaService::Reply CaService::create_certificate(std::string_view authorization,
                                               std::string_view request, int64_t now) const {
  const std::string_view token = bearer_token(authorization);
  if (token.empty())
    return refused(upstream::kGrpcUnauthenticated, "no token (authorization: Bearer TOKEN)");
  const auto identity = tokens_.identity_of(token);
  if (!identity) return refused(upstream::kGrpcUnauthenticated, "the token is for no workload");
  const auto call = decode_certificate_request(request);
  if (!call || call->csr_pem.empty())
    return refused(upstream::kGrpcInvalidArgument, "no certificate request", *identity);
  if (ca_.not_after <= now)
    return refused(upstream::kGrpcUnavailable, "the CA has expired", *identity);
  int64_t life = longest_life_.count();
  if (call->validity_s > 0) life = std::min(life, call->validity_s);
  tls::CertificateRequest wanted;
  wanted.sans.push_back({tls::SanType::kUri, *identity});
  wanted.not_before = std::max(now - std::min(kClockSkew, life / 10), ca_.not_before);
  wanted.not_after = std::min(now + life, ca_.not_after);
  auto certificate = tls::sign_request(call->csr_pem, wanted, ca_.files);
  if (!certificate) {
    return refused(upstream::kGrpcInvalidArgument,
                   str("the certificate request: ", certificate.error()), *identity);
  }
  Reply reply;
  reply.response = encode_certificate_response({*certificate, ca_.files.certificate_pem});
  reply.identity = *identity;
  reply.life_s = wanted.not_after - now;
  return reply;
}

}  // namespace pillion::certs
