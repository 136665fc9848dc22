#include "proxy/host_broadcast.h"

#include <algorithm>
#include <string>

namespace pillion {
namespace {

void add_to(HostNews& news, const HostNews& newer) {
  for (const auto& [cluster, hosts] : newer.hosts) news.hosts.insert_or_assign(cluster, hosts);
  news.health.insert(newer.health.begin(), newer.health.end());
}

}  // namespace

void HostBroadcast::add(std::string_view cluster, const upstream::HostSetPtr& hosts) {
  if (changed_.empty()) loop_.post(*this);
  const auto it = changed_.hosts.find(cluster);
  if (it != changed_.hosts.end()) {
    it->second = hosts;
  } else {
    changed_.hosts.emplace(cluster, hosts);
  }
}

void HostBroadcast::add_health(std::string_view cluster) {
  if (changed_.empty()) loop_.post(*this);
  changed_.health.emplace(cluster);
}

size_t HostBroadcast::under_way() {
  read_answers();
  size_t count = 0;
  for (const Line& line : lines_) count += line.under_way;
  return count;
}

void HostBroadcast::tell(bool at_once) {
  if (changed_.empty() && !at_once) return;
  lines_.resize(workers_.size());
  read_answers();
  const auto news = std::make_shared<const HostNews>(std::exchange(changed_, {}));
  for (size_t i = 0; i < lines_.size(); ++i) {
    Line& line = lines_[i];
    const bool is_late = line.under_way != 0 && !at_once;
    if (!is_late && line.late.empty()) {
      if (!news->empty()) send(i, news);
      continue;
    }
    add_to(line.late, *news);
    if (!is_late) send(i, std::make_shared<const HostNews>(std::exchange(line.late, {})));
  }
  note_late();
  // An answer that came before it was seen has woken nobody.
  if (is_late_) read_answers();
  wait_for_answers();
}

void HostBroadcast::note_late() {
  is_late_ = std::ranges::any_of(lines_, [](const Line& line) { return !line.late.empty(); });
}

void HostBroadcast::wait_for_answers() {
  const bool is_any_open = std::ranges::any_of(lines_, &Line::under_way);
  if (is_any_open && !answers_timer_.is_armed()) loop_.arm(answers_timer_, kAnswersWait);
}

void HostBroadcast::read_late_answers() {
  read_answers();
  wait_for_answers();
}

// The worker moves its reference on to the answer: the news may be the last to hold a set.
void HostBroadcast::send(size_t worker, std::shared_ptr<const HostNews> news) {
  ++lines_[worker].under_way;
  const auto done = [this, worker](std::shared_ptr<const HostNews> taken,
                                   Worker::FormerHosts former) {
    inbox_.post_quietly(
        [this, worker, taken = std::move(taken), former = std::move(former)]() mutable {
          taken.reset();
          on_taken(worker, std::move(former));
        });
    if (is_late_) inbox_.wake();
  };
  workers_[worker]->post(
      [news = std::move(news), done](Worker& w) mutable { w.take_news(std::move(news), done); });
}

void HostBroadcast::on_taken(size_t worker, Worker::FormerHosts former) {
  if (!former.empty()) retire_(std::move(former));
  if (workers_.empty()) return;  // the end
  Line& line = lines_[worker];
  if (--line.under_way == 0 && !line.late.empty())
    send(worker, std::make_shared<const HostNews>(std::exchange(line.late, {})));
  note_late();
}

}  // namespace pillion
