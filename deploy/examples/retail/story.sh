# The narrated run.  Every step shows what it does, and ends the run with exit 1 when the outcome is
# not the one told.  Needs a world (pods.sh or loopback.sh); sourced by quickstart.

replicas=(users-1 users-2 users-3)

failed() { die "not as told: $*"; }
indent() { sed 's/^/    /'; }

# show POD COMMAND...: prints what is typed there, and what comes of it.
show() {
  local pod=$1
  shift
  printf '  %s$ %s\n' "$pod" "$*"
  in_pod "$pod" "$@" 2>&1 | indent || failed "$1 failed"
}

# show_refusal POD COMMAND...: the same for a command that must fail.
show_refusal() {
  local pod=$1 said
  shift
  printf '  %s$ %s\n' "$pod" "$*"
  if said=$(in_pod "$pod" "$@" 2>&1); then failed "$pod was let in: $said"; fi
  indent <<<"$said"
}

must_be_ready() {
  local pod
  for pod in "$@"; do
    wait_until 10 sidecar_is_ready "$pod" || failed "the sidecar of $pod is not ready after 10 s"
  done
}

start_services() {
  local pod
  title "Services in Python, which know nothing of Pillion"
  start_service customer customer
  start_service prices prices
  for pod in "${replicas[@]}"; do start_service "$pod" users; done
  for pod in customer "${replicas[@]}"; do
    wait_until 10 service_answers "$pod" || failed "the service of $pod does not answer"
  done
  wait_until 10 service_answers prices --http2-prior-knowledge || failed "the service of prices does not answer"
  say "customer is the shop's front door; users has three replicas; prices speaks gRPC."
  if [[ $mode == pods ]]; then
    say "Nothing protects them: anyone on the network reads what users knows."
    show intruder curl -sS --max-time 5 "http://$plain_users/users/7"
  fi
}

start_sidecars() {
  local pod
  title "A sidecar beside each, with an identity of its own"
  make_ca
  start_sidecar customer customer
  for pod in "${replicas[@]}"; do start_sidecar "$pod" users; done
  start_sidecar prices prices
  must_be_ready customer prices "${replicas[@]}"
  for pod in customer prices "${replicas[@]}"; do capture_pod "$pod"; done
  say "Each is a short YAML file.  This is the one of users:"
  indent <"$run/users-1/sidecar.yaml"
}

call_through_both() {
  title "A call through both sidecars"
  say "shopper -> customer -> its sidecar == mutual TLS ==> a sidecar of users -> users"
  show shopper curl -sS --max-time 5 "$shop_url/customers/7/profile"
  say "This is what users saw of customer's plain HTTP call, and who the sidecar says that sent it:"
  local seen
  seen=$(in_pod shopper curl -s --max-time 5 "$shop_url/customers/echo")
  grep -iE '"(host|x-[a-z-]*|served_by)"' <<<"$seen" | sed 's/^ */    /' || true
  grep -q "URI=spiffe://mesh.local/ns/shop/sa/customer" <<<"$seen" ||
    failed "users did not see the identity of customer"
}

call_by_grpc() {
  title "gRPC between two services"
  say "customer asks prices by gRPC, which is HTTP/2: five answers on one stream, through both sidecars."
  show shopper curl -sS --max-time 5 "$shop_url/customers/7/prices"
  grep -q '"protocol": *"HTTP/2"' "$run/prices/access.log" || wait_until 5 grep -q 'HTTP/2' "$run/prices/access.log" ||
    failed "prices was not asked by HTTP/2"
}

start_collector() {
  local prefix=()
  mkdir -p "$run/collector"
  read -ra prefix < <(pod_prefix shopper)
  : >"$run/collector/spans"
  spawn "$run/collector/service.pid" "$run/collector/service.log" "$run/collector/service.log" \
    "${prefix[@]}" "$python" "$run/retail/collector.py" serve "$collector" "$run/collector/spans"
}

has_spans() { [[ $(grep -c "$1" "$run/collector/spans") -ge $2 ]]; }

trace_a_call() {
  local trace=4bf92f3577b34da6a3ce929d0e0e4736
  title "Where the time goes: one trace through both sidecars"
  say "A call that is part of a trace is recorded by every sidecar that it passes:"
  show shopper curl -sS --max-time 5 -o /dev/null -H "traceparent: 00-$trace-00f067aa0ba902b7-01" \
    "$shop_url/customers/7/profile"
  wait_until 10 has_spans "$trace" 6 || failed "the collector did not get the spans"
  "$python" "$run/retail/collector.py" tree "$run/collector/spans" "$trace" | indent
}

refuse_intruder() {
  title "An intruder who speaks plain HTTP"
  show_refusal intruder curl -sS --max-time 5 "http://$plain_users/users/7"
  say "Refused: users' sidecar wants TLS.  With TLS, but without a certificate of the mesh:"
  show_refusal intruder curl -sS --insecure --max-time 5 "https://$plain_users/users/7"
}

# begin_load / end_load: three clients call the shop meanwhile; the result is in $load_result.  Three
# retries at a time are always within the budget of customer's file, so that no client sees an error.
begin_load() {
  local shopper=()
  read -ra shopper < <(pod_prefix shopper)
  mkdir -p "$run/load"
  touch "$run/load/running"
  chmod 755 "$run/load"
  : >"$run/load/load.log"
  spawn "$run/load/load.pid" "$run/load/load.log" "$run/load/load.log" \
    "${shopper[@]}" env http_proxy= no_proxy='*' \
    "$python" "$run/retail/load.py" "$shop_url/customers/7/profile" 3 "$run/load/running"
}
end_load() {
  rm -f "$run/load/running"
  wait_until 20 all_gone "$run/load/load.pid" || failed "the clients do not end"
  load_result=$(tail -n 1 "$run/load/load.log")
  say "    $load_result"
  [[ $load_result == *'"errors": 0'* ]] || failed "clients saw errors"
}

kill_replica_under_load() {
  title "A replica dies under load"
  say "Three clients call the shop; after a second the pod users-2 is killed (service and sidecar)."
  begin_load
  sleep 1
  kill_pod users-2
  sleep 2
  end_load
  [[ $load_result == *users-2* ]] || failed "users-2 answered nothing before its death"
  say "No client saw an error: what users-2 left unanswered was asked again of another replica, and who"
  say "could not connect to it went on to the next."
  say "After three failures in a row users-2 was left out for a while, like users-1 before."
  start_service users-2 users
  start_sidecar users-2 users
  must_be_ready users-2
  wait_until 10 service_answers users-2 || failed "the service of users-2 does not answer"
  say "users-2 is back."
}

clusters_say() { in_pod customer curl -sf --max-time 1 "$(admin_url customer)/clusters" | grep -qF "$1"; }

eject_failing_replica() {
  title "A replica that fails is taken out, and comes back"
  say "users-1 answers 500 from now on; customer's sidecar asks another replica instead, and counts:"
  begin_load
  sleep 0.5
  in_pod users-1 curl -sf --noproxy '*' -X PUT -d true -o /dev/null "$(service_url users-1)/broken"
  wait_until 10 clusters_say failed_outlier_check || failed "users-1 was not ejected"
  grep -F 'host ejected' "$run/customer/sidecar.log" | tail -n 1 | indent
  in_pod users-1 curl -sf --noproxy '*' -X PUT -d false -o /dev/null "$(service_url users-1)/broken"
  say "It is mended, and gets calls again after three seconds:"
  wait_until 20 sidecar_said customer 'host is back' || failed "users-1 stays ejected"
  grep -F 'host is back' "$run/customer/sidecar.log" | tail -n 1 | indent
  end_load
}

# Forty calls at once that take a second each.  One curl makes them: forty would begin a second apart on a
# busy machine, and be no crowd.
crowd() {
  in_pod shopper curl -s --parallel --parallel-immediate --parallel-max 40 --max-time 10 \
    -o /dev/null -w '%{http_code}\n' "$shop_url/customers/slow#[1-40]" 2>/dev/null | sort | uniq -c
}

open_circuit() {
  local counted
  title "A circuit breaker"
  say "users takes a second for this call, and customer's file allows 32 at a time; forty come at once:"
  counted=$(crowd)
  indent <<<"$counted"
  [[ $counted == *" 503"* && $counted == *" 200"* ]] || failed "the breaker did not open"
  say "Eight were refused at once instead of waiting in a queue that only grows:"
  in_pod customer curl -sf --max-time 5 "$(admin_url customer)/stats?filter=cluster.users.upstream_rq_active_overflow" | indent
}

endpoint_is_gone() { ! in_pod customer curl -sf --max-time 1 "$(admin_url customer)/clusters" | grep -qF "$gone_endpoint"; }

sidecar_said() { grep -qF -- "$2" "$run/$1/sidecar.log"; }

change_configuration_live() {
  local config=$run/customer/sidecar.yaml good
  title "The configuration changes while requests run"
  say "users-3 leaves the list in customer's sidecar.yaml, under load:"
  good=$(<"$config")
  begin_load
  sleep 1
  sed -i "s/, *$gone_endpoint//" "$config"
  grep -n 'endpoints:' "$config" | indent
  wait_until 10 endpoint_is_gone || failed "the sidecar of customer did not take the new file"
  end_load
  say "Taken without a lost request.  Calls from now on:"
  begin_load
  sleep 1
  end_load
  [[ $load_result != *users-3* ]] || failed "users-3 is still called"

  say "A file with a mistake changes nothing, and says where it is:"
  sed -i 's/^outbound:/outbund:/' "$config"
  wait_until 10 sidecar_said customer outbund || failed "nothing was said of the mistake"
  grep -F outbund "$run/customer/sidecar.log" | head -n 1 | indent
  in_pod shopper curl -sf --max-time 5 -o /dev/null "$shop_url/customers/7/profile" ||
    failed "a bad file stopped the traffic"
  printf '%s\n' "$good" >"$config.new"
  mv "$config.new" "$config"
}

# wish_quietly CANARY_PERCENT FAULT_PERCENT: what the control plane is to tell the gateway.
wish_quietly() {
  cat >"$run/gateway/wishes.json.new" <<WISHES
{ "canary_percent": $1, "fault_percent": $2, "listen": "$gateway_address", "certs": "certs",
  "users": [ "${users_endpoints[0]}", "${users_endpoints[1]}" ], "canary": [ "${users_endpoints[2]}" ] }
WISHES
  mv "$run/gateway/wishes.json.new" "$run/gateway/wishes.json"
}

# wish CANARY_PERCENT FAULT_PERCENT: the same, and the gateway has taken it.
wish() {
  local before
  before=$(grep -c 'taken: routes' "$run/gateway/control.log" || true)
  wish_quietly "$@"
  wait_until 10 routes_taken "$((before + 1))" || failed "the gateway did not take the routes"
}

routes_taken() { [[ $(grep -c 'taken: routes' "$run/gateway/control.log") -ge $1 ]]; }

gateway_answers() { in_pod shopper curl -sf --noproxy '*' --max-time 1 -o /dev/null "http://$gateway_address/users/7"; }

# A hundred calls to the gateway: who answered how often, or with which status.
hundred_calls() {
  in_pod shopper "$python" "$run/retail/load.py" "http://$gateway_address/users/7" 100
}

start_gateway() {
  local prefix=()
  mkdir -p "$run/gateway"
  chmod 755 "$run/gateway"
  protoc -I"$root/xds/proto" --include_imports -o "$run/gateway/protos" "$root"/xds/proto/*.proto
  printf '{}' >"$run/gateway/wishes.json"
  read -ra prefix < <(pod_prefix shopper)
  spawn "$run/gateway/control.pid" "$run/gateway/control.log" "$run/gateway/control.errors.log" \
    "${prefix[@]}" "$python" "$run/retail/control_plane.py" "$control_plane" "$run/gateway/wishes.json" "$run/gateway/protos"
  wish_quietly 0 0
  start_sidecar gateway gateway
  wait_until 20 gateway_answers || failed "the gateway does not answer"
}

canary_by_control_plane() {
  title "A canary, moved by a control plane"
  say "A gateway knows nothing but its control plane (a page of Python), which says by ADS: 90 % of the calls to"
  say "users-1 and users-2, 10 % to users-3, which runs a new version."
  start_gateway
  wish 10 0
  say "    $(hundred_calls)"
  say "It does well, so that it gets half of the calls; nothing restarts:"
  wish 50 0
  load_result=$(hundred_calls)
  say "    $load_result"
  [[ $load_result == *'"errors": 0'* && $load_result == *users-3* ]] || failed "the canary got no calls, or calls failed"
  say "And one call in four is to fail, to see what clients make of that (a fault, injected by the gateway):"
  wish 50 25
  load_result=$(hundred_calls)
  say "    $load_result"
  [[ $load_result == *418* ]] || failed "no fault was injected"
}

show_numbers() {
  title "The numbers, for Prometheus"
  local numbers
  numbers=$(in_pod shopper curl -sf --max-time 5 "$(metrics_url customer)") || failed "no metrics"
  printf '  shopper$ curl -s %s\n' "$(metrics_url customer)"
  grep -E '^envoy_cluster_(upstream_rq_(total|xx|retry|retry_success)|ssl_handshake|upstream_cx_connect_fail)\{[^}]*users' \
    <<<"$numbers" | indent || failed "the cluster users is not counted"
  say "upstream_cx_connect_fail counts the attempts to reach users-2 while it was dead.  Each went on to the"
  say "next replica, which needs no retry policy and is not counted in upstream_rq_retry; nor is asking once"
  say "more when a kept connection ends without an answer.  That counts what the file's \`retries\` grant."
  say "The last line of customer's access log:"
  tail -n 1 "$run/customer/access.log" | indent
}

tell_story() {
  start_services
  start_collector
  start_sidecars
  call_through_both
  call_by_grpc
  trace_a_call
  refuse_intruder
  eject_failing_replica
  open_circuit
  kill_replica_under_load
  change_configuration_live
  canary_by_control_plane
  show_numbers
  title "That was Pillion"
}
