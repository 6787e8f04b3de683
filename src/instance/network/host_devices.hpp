// Network devices of this host that are removed with this object. Their index tells them from others that
// get their names meanwhile.
#pragma once

#include <vector>

namespace strata::instance {

class HostDevices {
public:
    HostDevices() = default;

    void add(unsigned index) { indices_.push_back(index); }

    HostDevices(HostDevices&& other) noexcept;
    HostDevices& operator=(HostDevices&& other) noexcept;
    HostDevices(const HostDevices&) = delete;
    HostDevices& operator=(const HostDevices&) = delete;

    ~HostDevices() { remove(); }

private:
    void remove();

    std::vector<unsigned> indices_{};
};

} // namespace strata::instance
