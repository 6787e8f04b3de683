// Network devices, addresses and routes by rtnetlink(7), through libmnl.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct mnl_socket;
struct nlmsghdr;

namespace strata::instance {

// An IPv4 address in the host's byte order.
using Address = std::uint32_t;
// An IPv6 address, as it is in packets.
using Address6 = std::array<std::uint8_t, 16>;

struct Subnet;

[[nodiscard]] std::string text_of(Address address);
[[nodiscard]] std::string text_of(const Address6& address);

// Of Ethernet.
using HardwareAddress = std::array<std::uint8_t, 6>;

// What the kernel knows of a network device.
struct Link {
    unsigned index = 0, master = 0; // 0 for none: of the bridge that it is in
    std::string name{}, alias{};    // the remark that was left at it
    bool is_bridge = false, is_on = false;
};

// The end of a line that is in another network namespace.
struct FarEnd {
    std::string device{};
    HardwareAddress address{};
    int space = -1; // the namespace, open
};

// A socket to the network namespace that the process was in when it was opened.
class Netlink {
public:
    // `bus` is NETLINK_ROUTE or NETLINK_NETFILTER.
    [[nodiscard]] static Result<Netlink> open(int bus);
    ~Netlink();
    Netlink(Netlink&& other) noexcept;
    Netlink& operator=(Netlink&&) = delete;
    Netlink(const Netlink&) = delete;
    Netlink& operator=(const Netlink&) = delete;

    // Nothing when there is no such device.
    [[nodiscard]] std::optional<Link> link(const std::string& device) const;
    [[nodiscard]] Result<std::vector<Link>> links() const;
    // Makes a bridge with a remark. EEXIST if there is a device of that name.
    [[nodiscard]] Result<void> make_bridge(const std::string& name, const std::string& alias) const;
    // The subnets that this host has addresses in or routes to, but for the default routes and what belongs
    // to the device with the index `except`.
    [[nodiscard]] Result<std::vector<Subnet>> used_subnets(unsigned except) const;
    // Makes two devices that are the ends of one line. `near` is put into the bridge with the index `bridge`,
    // and switched on.
    [[nodiscard]] Result<void> make_line(const std::string& near, unsigned bridge, const FarEnd& far) const;
    [[nodiscard]] Result<void> remove_device(const std::string& name) const;
    [[nodiscard]] Result<void> remove_device(unsigned index) const;
    [[nodiscard]] Result<void> switch_on(const std::string& name) const;
    // Fine if it has the address.
    [[nodiscard]] Result<void> add_address(const std::string& name, Address address, unsigned prefix) const;
    // The address is used at once: that nobody else has it is the caller's to know.
    [[nodiscard]] Result<void> add_address(const std::string& name, const Address6& address,
                                           unsigned prefix) const;
    // Fine if there is one.
    [[nodiscard]] Result<void> add_default_route(Address gateway) const;
    [[nodiscard]] Result<void> add_default_route(const Address6& gateway) const;

    // Sends messages and takes the kernel's word for each. `what` begins the message of an error.
    [[nodiscard]] Result<void> talk(const void* messages, std::size_t size, std::uint32_t first,
                                    std::uint32_t last, const std::string& what) const;
    // Sends a request, and calls `look` with each message of the kernel's answer, which are many.
    [[nodiscard]] Result<void> ask_for_all(const nlmsghdr* request,
                                           const std::function<void(const nlmsghdr*)>& look) const;

private:
    explicit Netlink(mnl_socket* socket) : socket_(socket) {}

    // 0 when there is no such device.
    [[nodiscard]] unsigned index_of(const std::string& device) const;
    // All that there is of a kind.
    [[nodiscard]] Result<void> dump(std::uint16_t type,
                                    const std::function<void(const nlmsghdr*)>& look) const;

    [[nodiscard]] Result<void> ask(std::uint16_t type, std::uint16_t flags,
                                   const std::function<void(nlmsghdr*)>& fill, const std::string& what) const;

    [[nodiscard]] Result<void> add_route(std::uint8_t family, std::span<const std::uint8_t> gateway,
                                         const std::string& what) const;

    mnl_socket* socket_;
};

} // namespace strata::instance
