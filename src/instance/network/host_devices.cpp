#include "instance/network/host_devices.hpp"

#include "instance/network/netlink.hpp"

#include <linux/netlink.h>
#include <utility>

namespace strata::instance {

HostDevices::HostDevices(HostDevices&& other) noexcept : indices_(std::exchange(other.indices_, {})) {}

HostDevices& HostDevices::operator=(HostDevices&& other) noexcept {
    if (this != &other) {
        remove();
        indices_ = std::exchange(other.indices_, {});
    }
    return *this;
}

void HostDevices::remove() {
    if (indices_.empty()) {
        return;
    }
    if (const auto host = Netlink::open(NETLINK_ROUTE)) {
        for (const auto index : indices_) {
            static_cast<void>(host->remove_device(index)); // unless the kernel did it already
        }
    }
    indices_.clear();
}

} // namespace strata::instance
