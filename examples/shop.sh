#!/usr/bin/env bash
# A shop's backend, with curl alone: a group, 199 customers, an order card, a ban.
#
#   groupd serve --host-api http://127.0.0.1:7481
#   bash examples/shop.sh http://127.0.0.1:7481 "$(groupd key make shop)"
set -euo pipefail

url=$1 key=$2

api() { # METHOD JSON
    curl --silent --show-error --max-time 30 "$url/v1/$1" \
        --header "Authorization: Bearer $key" --data "$2"
}

field() { # NAME: of the JSON on standard input, a string or a number of its own
    sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/"
}

group=$(api create '{"as": {"user": "shop", "name": "茶店"}, "name": "老顾客 Tea friends", "ref": "tea-friends"}' | field group)
echo "the group is $group"

members=$(for n in $(seq 199); do printf '{"user":"customer%d","name":"顾客 %d"},' "$n" "$n"; done)
joined=$(api add_members "{\"group\": \"$group\", \"members\": [${members%,}]}" | grep -o '"status":"joined"' | wc -l)
echo "$joined customers joined"

card='{"type": "link", "url": "https://shop.example/orders/7", "title": "Order 7 has left 已发货"}'
seq=$(api post "{\"as\": \"system\", \"group\": \"$group\", \"card\": $card}" | field seq)
api history "{\"as\": \"customer1\", \"group\": \"$group\", \"after\": $((seq - 1))}" | grep --quiet '"type":"link"'
echo "the order card is there"

api ban "{\"as\": \"system\", \"group\": \"$group\", \"user\": \"customer13\"}" >/dev/null
api bans "{\"as\": \"shop\", \"group\": \"$group\"}" | grep --quiet customer13
echo "customer13 is out"
