#include "backends/net/slirp_sockets.hpp"

#include <array>
#include <limits>
#include <sys/epoll.h>

namespace strata::backends {

namespace {

struct EventName {
    int slirp;
    short poll;
};

constexpr std::array event_names{EventName{SLIRP_POLL_IN, POLLIN}, EventName{SLIRP_POLL_OUT, POLLOUT},
                                 EventName{SLIRP_POLL_PRI, POLLPRI}, EventName{SLIRP_POLL_ERR, POLLERR},
                                 EventName{SLIRP_POLL_HUP, POLLHUP}};

short to_poll(int slirp) {
    int events = 0;
    for (const auto& name : event_names) {
        events |= slirp & name.slirp ? name.poll : 0;
    }
    return static_cast<short>(events);
}

int to_slirp(int poll) {
    int events = 0;
    for (const auto& name : event_names) {
        events |= poll & name.poll ? name.slirp : 0;
    }
    return events;
}

} // namespace

SlirpSockets::SlirpSockets(EventLoop& loop, const SlirpLibrary& library)
    : loop_(loop), library_(library), timer_(loop, [this] { ready(); }) {}

SlirpSockets::~SlirpSockets() {
    for (const auto& [fd, events] : watched_) {
        loop_.unwatch(fd);
    }
}

void SlirpSockets::update() {
    listed_.clear();
    constexpr auto forever = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t milliseconds = forever;
    library_.pollfds_fill(
        slirp_, &milliseconds,
        [](int fd, int events, void* opaque) {
            auto& listed = static_cast<SlirpSockets*>(opaque)->listed_;
            listed.push_back({fd, to_poll(events), 0});
            return static_cast<int>(listed.size()) - 1;
        },
        this);
    watch_listed();
    if (milliseconds == forever) {
        timer_.cancel();
    } else {
        timer_.arm(loop_.clock().now() + milliseconds * nanoseconds_per_millisecond);
    }
}

void SlirpSockets::watch_listed() {
    std::map<int, std::uint32_t> wanted;
    for (const pollfd& entry : listed_) {
        wanted[entry.fd] |= static_cast<std::uint32_t>(entry.events); // EPOLLIN is POLLIN, and so on
    }
    for (const auto& [fd, events] : watched_) {
        if (!wanted.contains(fd)) {
            loop_.unwatch(fd);
        }
    }
    for (const auto& [fd, events] : wanted) {
        const auto before = watched_.find(fd);
        if (before == watched_.end() || before->second != events) {
            loop_.watch(fd, events, [this](std::uint32_t) { ready(); });
        }
    }
    watched_ = std::move(wanted);
}

void SlirpSockets::forget(int fd) {
    if (watched_.erase(fd) != 0) {
        loop_.unwatch(fd);
    }
}

void SlirpSockets::ready() {
    const int result = ::poll(listed_.data(), listed_.size(), 0);
    library_.pollfds_poll(
        slirp_, result < 0,
        [](int index, void* opaque) {
            const auto& listed = static_cast<SlirpSockets*>(opaque)->listed_;
            const auto at = static_cast<std::size_t>(index);
            return at < listed.size() ? to_slirp(listed[at].revents) : 0;
        },
        this);
    update();
}

} // namespace strata::backends
