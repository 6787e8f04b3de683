#include "instance/network/nat.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <ctime>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <memory>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <span>
#include <vector>

namespace strata::instance {
namespace {

constexpr auto table_name = "strata";
constexpr std::uint32_t source_nat_priority = 100;

struct Free {
    void operator()(nftnl_table* table) const { nftnl_table_free(table); }

    void operator()(nftnl_chain* chain) const { nftnl_chain_free(chain); }

    void operator()(nftnl_rule* rule) const { nftnl_rule_free(rule); }
};

struct Chain {
    std::string name;
    const char* type;
    std::uint32_t hook, priority;
};

Chain nat_chain(const std::string& bridge) {
    return {"from-" + bridge, "nat", NF_INET_POST_ROUTING, source_nat_priority};
}

Chain filter_chain(const std::string& bridge) { return {"across-" + bridge, "filter", NF_INET_FORWARD, 0}; }

std::unique_ptr<nftnl_chain, Free> make_chain(const Chain& which) {
    std::unique_ptr<nftnl_chain, Free> chain(nftnl_chain_alloc());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_name);
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, which.name.c_str());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, which.type);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, which.hook);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_PRIO, which.priority);
    return chain;
}

std::unique_ptr<nftnl_rule, Free> empty_rule(const Chain& chain, std::uint32_t family) {
    std::unique_ptr<nftnl_rule, Free> rule(nftnl_rule_alloc());
    nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, table_name);
    nftnl_rule_set_str(rule.get(), NFTNL_RULE_CHAIN, chain.name.c_str());
    nftnl_rule_set_u32(rule.get(), NFTNL_RULE_FAMILY, family);
    return rule;
}

void compare(nftnl_rule* rule, std::uint32_t operation, const void* data, std::uint32_t size) {
    nftnl_expr* expression = nftnl_expr_alloc("cmp");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_OP, operation);
    nftnl_expr_set(expression, NFTNL_EXPR_CMP_DATA, data, size);
    nftnl_rule_add_expr(rule, expression);
}

// The packets of a network: whose source address, `offset` bytes into the header, is `network` in the bits of
// `mask`.
struct Sources {
    std::string name; // of the network, as people write it
    std::uint8_t family;
    std::uint32_t offset;
    std::vector<std::uint8_t> network, mask;
};

Sources sources(std::string name, std::uint8_t family, std::uint32_t offset,
                std::span<const std::uint8_t> network, unsigned prefix) {
    Sources result{std::move(name), family, offset, {network.begin(), network.end()}, {}};
    for (std::size_t i = 0; i < network.size(); ++i) {
        const auto bits = std::clamp(static_cast<int>(prefix) - static_cast<int>(8 * i), 0, 8);
        result.mask.push_back(static_cast<std::uint8_t>(0xFF00U >> bits));
        result.network[i] &= result.mask[i];
    }
    return result;
}

// Compares the name of a packet's device: as a whole, or, for `size`, how it begins.
void compare_device(nftnl_rule* rule, std::uint32_t key, std::uint32_t operation, const std::string& device,
                    std::uint32_t size = IFNAMSIZ) {
    nftnl_expr* name = nftnl_expr_alloc("meta");
    nftnl_expr_set_u32(name, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(name, NFTNL_EXPR_META_DREG, NFT_REG_1);
    nftnl_rule_add_expr(rule, name);
    std::array<char, IFNAMSIZ> text{};
    device.copy(text.data(), text.size() - 1);
    compare(rule, operation, text.data(), size);
}

void drop(nftnl_rule* rule) {
    nftnl_expr* verdict = nftnl_expr_alloc("immediate");
    nftnl_expr_set_u32(verdict, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(verdict, NFTNL_EXPR_IMM_VERDICT, NF_DROP);
    nftnl_rule_add_expr(rule, verdict);
}

using Rules = std::vector<std::unique_ptr<nftnl_rule, Free>>;

// iifname BRIDGE oifname != BRIDGE [oifname "strata*"] drop; of an internal one also what comes.
Rules filter_rules(const std::string& bridge, std::uint32_t family, bool internal) {
    const auto chain = filter_chain(bridge);
    Rules rules;
    rules.push_back(empty_rule(chain, family));
    compare_device(rules.back().get(), NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
    compare_device(rules.back().get(), NFT_META_OIFNAME, NFT_CMP_NEQ, bridge);
    if (!internal) {
        const std::string prefix = bridge_prefix;
        compare_device(rules.back().get(), NFT_META_OIFNAME, NFT_CMP_EQ, prefix,
                       static_cast<std::uint32_t>(prefix.size()));
    }
    drop(rules.back().get());
    if (internal) {
        rules.push_back(empty_rule(chain, family));
        compare_device(rules.back().get(), NFT_META_IIFNAME, NFT_CMP_NEQ, bridge);
        compare_device(rules.back().get(), NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
        drop(rules.back().get());
    }
    return rules;
}

// ip saddr NETWORK/PREFIX oifname != BRIDGE masquerade
std::unique_ptr<nftnl_rule, Free> masquerade_rule(const Sources& sources, const std::string& bridge) {
    auto rule = empty_rule(nat_chain(bridge), sources.family);
    const auto size = static_cast<std::uint32_t>(sources.network.size());
    nftnl_expr* source = nftnl_expr_alloc("payload");
    nftnl_expr_set_u32(source, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    nftnl_expr_set_u32(source, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
    nftnl_expr_set_u32(source, NFTNL_EXPR_PAYLOAD_OFFSET, sources.offset);
    nftnl_expr_set_u32(source, NFTNL_EXPR_PAYLOAD_LEN, size);
    nftnl_rule_add_expr(rule.get(), source);

    const std::vector<std::uint8_t> nothing(size);
    nftnl_expr* masked = nftnl_expr_alloc("bitwise");
    nftnl_expr_set_u32(masked, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
    nftnl_expr_set_u32(masked, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
    nftnl_expr_set_u32(masked, NFTNL_EXPR_BITWISE_LEN, size);
    nftnl_expr_set(masked, NFTNL_EXPR_BITWISE_MASK, sources.mask.data(), size);
    nftnl_expr_set(masked, NFTNL_EXPR_BITWISE_XOR, nothing.data(), size);
    nftnl_rule_add_expr(rule.get(), masked);
    compare(rule.get(), NFT_CMP_EQ, sources.network.data(), size);

    compare_device(rule.get(), NFT_META_OIFNAME, NFT_CMP_NEQ, bridge);
    nftnl_rule_add_expr(rule.get(), nftnl_expr_alloc("masq"));
    return rule;
}

// Messages that the kernel takes all or none of.
class Batch {
public:
    explicit Batch(std::uint8_t family)
        : family_(family), batch_(mnl_nlmsg_batch_start(buffer_.data(), buffer_.size() / 2)) {
        nftnl_batch_begin(here(), sequence_++);
        mnl_nlmsg_batch_next(batch_);
    }

    ~Batch() { mnl_nlmsg_batch_stop(batch_); }

    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    nlmsghdr* add(std::uint16_t type, std::uint16_t flags) {
        return nftnl_nlmsg_build_hdr(here(), type, family_, static_cast<std::uint16_t>(NLM_F_ACK | flags),
                                     sequence_++);
    }

    void next() { mnl_nlmsg_batch_next(batch_); }

    Result<void> send(const Netlink& netlink) {
        const auto last = sequence_ - 1;
        nftnl_batch_end(here(), sequence_++);
        mnl_nlmsg_batch_next(batch_);
        return netlink.talk(mnl_nlmsg_batch_head(batch_), mnl_nlmsg_batch_size(batch_), first + 1, last,
                            "set up address translation (nf_tables)");
    }

private:
    static constexpr std::uint32_t first = 1;

    char* here() { return static_cast<char*>(mnl_nlmsg_batch_current(batch_)); }

    alignas(nlmsghdr) std::array<char, 16384> buffer_{};
    std::uint32_t sequence_ = first;
    std::uint8_t family_;
    mnl_nlmsg_batch* batch_;
};

std::unique_ptr<nftnl_rule, Free> all_rules_of(const Chain& chain) {
    std::unique_ptr<nftnl_rule, Free> all(nftnl_rule_alloc());
    nftnl_rule_set_str(all.get(), NFTNL_RULE_TABLE, table_name);
    nftnl_rule_set_str(all.get(), NFTNL_RULE_CHAIN, chain.name.c_str());
    return all;
}

// A comment, as `nft list` shows it. It tells what a rule was made of, so that one that is there already can
// be told from another network's, or an older Strata's: the number is that of the rules' form.
void mark(nftnl_rule* rule, const std::string& text) {
    constexpr std::uint32_t longest = 128;
    nftnl_udata_buf* data = nftnl_udata_buf_alloc(longest);
    nftnl_udata_put_strz(data, NFTNL_UDATA_RULE_COMMENT, text.c_str());
    nftnl_rule_set_data(rule, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(data), nftnl_udata_buf_len(data));
    nftnl_udata_buf_free(data);
}

std::string mark_of(const Sources& sources, bool internal) {
    return fmt::format("Strata 1: {}{}", sources.name, internal ? ", internal" : "");
}

std::vector<std::uint8_t> data_of(const nftnl_rule* rule) {
    std::uint32_t size = 0;
    const auto* data =
        static_cast<const std::uint8_t*>(nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &size));
    return data == nullptr ? std::vector<std::uint8_t>{} : std::vector<std::uint8_t>(data, data + size);
}

// Whether a chain has these rules, going by their marks.
bool has_rules(const Netlink& netlink, std::uint8_t family, const Chain& chain, const Rules& rules) {
    alignas(nlmsghdr) std::array<char, 256> buffer{};
    nlmsghdr* request = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETRULE, family, NLM_F_DUMP, 1);
    nftnl_rule_nlmsg_build_payload(request, all_rules_of(chain).get());
    std::vector<std::vector<std::uint8_t>> wanted, found;
    for (const auto& rule : rules) {
        wanted.push_back(data_of(rule.get()));
    }
    const auto asked = netlink.ask_for_all(request, [&](const nlmsghdr* answer) {
        const std::unique_ptr<nftnl_rule, Free> rule(nftnl_rule_alloc());
        if (nftnl_rule_nlmsg_parse(answer, rule.get()) >= 0) {
            found.push_back(data_of(rule.get()));
        }
    });
    return asked && found == wanted;
}

void add_chain(Batch& batch, const Chain& which, const Rules& rules) {
    const auto chain = make_chain(which);
    const auto all = all_rules_of(which);
    nftnl_chain_nlmsg_build_payload(batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain.get());
    batch.next();
    nftnl_rule_nlmsg_build_payload(batch.add(NFT_MSG_DELRULE, 0), all.get());
    batch.next();
    for (const auto& rule : rules) {
        nftnl_rule_nlmsg_build_payload(batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), rule.get());
        batch.next();
    }
}

// The chains are emptied and filled in one batch, so that they have each rule once, however many do this at
// one time. Where all is as it must be nothing is written: who has changed rules waits for all processors.
Result<void> need_rules_of(const Sources& sources, const std::string& bridge, bool internal) {
    const auto netlink = Netlink::open(NETLINK_NETFILTER);
    if (!netlink) {
        return std::unexpected(netlink.error());
    }
    Rules masquerade;
    if (!internal) {
        masquerade.push_back(masquerade_rule(sources, bridge));
    }
    Rules filter = filter_rules(bridge, sources.family, internal);
    for (const auto* rules : {&masquerade, &filter}) {
        for (const auto& rule : *rules) {
            mark(rule.get(), mark_of(sources, internal));
        }
    }
    if (has_rules(*netlink, sources.family, nat_chain(bridge), masquerade) &&
        has_rules(*netlink, sources.family, filter_chain(bridge), filter)) {
        return {};
    }
    const std::unique_ptr<nftnl_table, Free> table(nftnl_table_alloc());
    nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, table_name);
    Batch batch(sources.family);
    nftnl_table_nlmsg_build_payload(batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE), table.get());
    batch.next();
    add_chain(batch, nat_chain(bridge), masquerade);
    add_chain(batch, filter_chain(bridge), filter);
    return batch.send(*netlink);
}

void remove_rules_of(const Netlink& netlink, std::uint8_t family, const std::string& bridge) {
    for (const auto& which : {nat_chain(bridge), filter_chain(bridge)}) {
        const auto all = all_rules_of(which);
        const std::unique_ptr<nftnl_chain, Free> chain(nftnl_chain_alloc());
        nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_name);
        nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, which.name.c_str());
        Batch batch(family);
        nftnl_rule_nlmsg_build_payload(batch.add(NFT_MSG_DELRULE, 0), all.get());
        batch.next();
        nftnl_chain_nlmsg_build_payload(batch.add(NFT_MSG_DELCHAIN, 0), chain.get());
        batch.next();
        static_cast<void>(batch.send(netlink)); // where there is none
    }
}

} // namespace

Result<void> need_rules(const std::string& bridge, const Subnet& subnet, bool internal) {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof subnet.base>>(htonl(subnet.base));
    return need_rules_of(sources(text_of(subnet), NFPROTO_IPV4, offsetof(iphdr, saddr), bytes, subnet.prefix),
                         bridge, internal);
}

Result<void> need_rules(const std::string& bridge, const Subnet6& subnet, bool internal) {
    return need_rules_of(
        sources(text_of(subnet), NFPROTO_IPV6, offsetof(ip6_hdr, ip6_src), subnet.base, subnet.prefix),
        bridge, internal);
}

void remove_rules(const std::string& bridge) {
    // By one socket: closing it waits until the kernel is done with what was removed.
    if (const auto netlink = Netlink::open(NETLINK_NETFILTER)) {
        remove_rules_of(*netlink, NFPROTO_IPV4, bridge);
        remove_rules_of(*netlink, NFPROTO_IPV6, bridge);
    }
}

} // namespace strata::instance
