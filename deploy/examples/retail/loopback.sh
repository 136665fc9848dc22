# The demo's world where network namespaces are not permitted: every service and sidecar has ports
# of its own on 127.0.0.1, nothing is captured, and `customer` finds its sidecar by http_proxy.
# The same functions as pods.sh.

# POD: the port of the service, and the sidecar's inbound, outbound, admin and metrics ports.
declare -gA ports=([customer]="18080 15106 15101 15100 15190" [users-1]="18081 15206 - 15200 15290"
  [users-2]="18082 15306 - 15300 15390" [users-3]="18083 15406 - 15400 15490"
  [prices]="18084 15506 - 15500 15590" [gateway]="18085 - - 15600 -" [collector]="14318" [control]="18000")

port() { cut -d' ' -f"$2" <<<"${ports[$1]}"; }
service_port() { port "$1" 1; }
inbound_port() { port "$1" 2; }
outbound_port() { port "$1" 3; }

shop_url=http://127.0.0.1:$(inbound_port customer)
plain_users=127.0.0.1:$(inbound_port users-1)
gone_endpoint=127.0.0.1:$(inbound_port users-3)
collector=127.0.0.1:$(service_port collector)
control_plane=127.0.0.1:$(service_port control)
gateway_address=127.0.0.1:$(service_port gateway)
users_endpoints=("127.0.0.1:$(inbound_port users-1)" "127.0.0.1:$(inbound_port users-2)" "127.0.0.1:$(inbound_port users-3)")

admin_url() { echo "http://127.0.0.1:$(port "$1" 4)"; }
metrics_url() { echo "http://127.0.0.1:$(port "$1" 5)/stats/prometheus"; }

in_pod() { "${@:2}"; }
pod_prefix() { echo env; }

check_world() {
  local pod taken
  for pod in "${!ports[@]}"; do
    for taken in ${ports[$pod]//-/}; do
      if (exec 3<>"/dev/tcp/127.0.0.1/$taken") 2>/dev/null; then
        die "port $taken of 127.0.0.1 is taken"
      fi
    done
  done
}

begin_world() { begin_files loopback; }

end_world() {
  end_processes
  remove_files
}

# start_service POD SCRIPT
start_service() {
  mkdir -p "$run/$1"
  local proxy=
  local prices=() # gRPC has no use for an HTTP proxy: it is told where the sidecar listens
  if [[ $1 == customer ]]; then
    proxy=http://127.0.0.1:$(outbound_port customer)
    prices=(PRICES="127.0.0.1:$(outbound_port customer)" PRICES_NAME=prices)
  fi
  spawn "$run/$1/service.pid" "$run/$1/service.log" "$run/$1/service.log" \
    env NAME="$1" LISTEN="127.0.0.1:$(service_port "$1")" http_proxy="$proxy" no_proxy= \
    "${prices[@]}" PYTHONDONTWRITEBYTECODE=1 "$python" "$run/retail/$2.py"
}

service_url() { echo "http://127.0.0.1:$(service_port "$1")"; }

service_answers() { curl -s "${@:2}" --noproxy '*' --max-time 1 -o /dev/null "http://127.0.0.1:$(service_port "$1")/"; }

# write_config POD NAME: the short YAML of that service, with ports of this pod and without capture.
write_config() {
  sed -e 's/capture: redirect/capture: off/' \
    -e "s/0\.0\.0\.0:15006/127.0.0.1:$(inbound_port "$1")/" \
    -e "s/127\.0\.0\.1:15001/127.0.0.1:$(outbound_port "$1")/" \
    -e "s/127\.0\.0\.1:8080/127.0.0.1:$(service_port "$1")/" \
    -e "s/0\.0\.0\.0:15090/127.0.0.1:$(port "$1" 5)/" \
    -e "s/127\.0\.0\.1:15000/127.0.0.1:$(port "$1" 4)/" \
    -e "s/10\.77\.0\.21:8080/127.0.0.1:$(inbound_port users-1)/" \
    -e "s/10\.77\.0\.22:8080/127.0.0.1:$(inbound_port users-2)/" \
    -e "s/10\.77\.0\.23:8080/127.0.0.1:$(inbound_port users-3)/" \
    -e "s/10\.77\.0\.31:8080/127.0.0.1:$(inbound_port prices)/" \
    -e "s/10\.77\.0\.1:4318/$collector/" \
    -e "s/address: 10\.77\.0\.1, port_value: 18000/address: 127.0.0.1, port_value: $(service_port control)/" \
    -e "s/port_value: 15000/port_value: $(port "$1" 4)/" \
    "$retail/$2.yaml" >"$run/$1/sidecar.yaml"
}

# start_sidecar POD NAME
start_sidecar() {
  local dir=$run/$1
  if [[ ! -e $dir/certs ]]; then
    make_certificates "$1" "$2"
    write_config "$1" "$2"
  fi
  spawn "$dir/sidecar.pid" "$dir/access.log" "$dir/sidecar.log" \
    env --chdir="$dir" "$run/pillion" run -c "$dir/sidecar.yaml" --concurrency 1
}

sidecar_is_ready() { curl -sf --noproxy '*' --max-time 1 "$(admin_url "$1")/ready"; }

capture_pod() { :; }

kill_pod() { signal KILL "$run/$1/sidecar.pid" "$run/$1/service.pid"; }

how_to_play() {
  cat <<PLAY

The demo keeps running.  Try:
  curl -s $shop_url/customers/7/profile
  curl -s $shop_url/customers/7/prices
  curl -s $(metrics_url users-1)
  curl -s -X PUT -d true $(service_url users-1)/broken      (and see /clusters)
  curl -s $(admin_url customer)/clusters        (a browser shows $(admin_url customer)/ too)
  curl http://$plain_users/users/7
  edit $run/customer/sidecar.yaml and see $run/customer/sidecar.log
  edit $run/gateway/wishes.json (canary_percent, fault_percent), which its control plane passes on, and call
    curl -s http://$gateway_address/users/7
  curl -s -o /dev/null -H traceparent:\ 00-$(printf '%032d' 7)-$(printf '%016d' 7)-01 $shop_url/customers/7/profile
    and its spans, a second later: $python $run/retail/collector.py tree $run/collector/spans $(printf '%032d' 7)
End it with deploy/quickstart --stop
PLAY
}
