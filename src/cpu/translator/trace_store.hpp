// Compiled traces that any processor of a machine may use, and a later machine if they are kept in a file:
// asked where something would otherwise be translated, never where code runs. Any thread.
#pragma once

#include "cpu/translator/compiled_trace.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace strata::cpu::translator {

class TraceStore {
public:
    using Trace = std::shared_ptr<const CompiledTrace>;

    // Of all traces together: what was not asked for lately makes room.
    explicit TraceStore(std::size_t most_bytes) : most_bytes_(most_bytes) {}

    TraceStore(const TraceStore&) = delete;
    TraceStore& operator=(const TraceStore&) = delete;
    ~TraceStore() = default;

    struct Found {
        Trace trace;         // null: there is none
        bool loaded = false; // it came by load()
    };

    // One that was made of what `page` holds, from the bytes of `head` on.
    [[nodiscard]] Found find(const TraceKey& key, std::span<const std::uint8_t> head, const std::byte* page);

    void add(CompiledTrace trace);
    // Of an earlier machine.
    void load(CompiledTrace trace);

    // What goes first comes first.
    [[nodiscard]] std::vector<Trace> all() const;
    [[nodiscard]] std::size_t bytes() const;
    // How many were added.
    [[nodiscard]] std::uint64_t added() const;

private:
    struct Entry {
        Trace trace;
        std::uint64_t hash;
        bool loaded, used;
    };

    using Entries = std::list<Entry>;

    void insert(CompiledTrace trace, bool loaded);
    void make_room();

    const std::size_t most_bytes_;
    mutable std::mutex mutex_; // guards all that follows
    Entries entries_;          // in the order in which they go
    std::unordered_multimap<std::uint64_t, Entries::iterator> by_hash_;
    std::size_t bytes_ = 0;
    std::uint64_t added_ = 0;
};

// Of what models can, as far as code depends on it, and of the stubs, which are as long as the addresses in
// them.
[[nodiscard]] std::uint64_t fingerprint(const x86::Model& guest, const x86::Model& host, const Stubs& stubs);

} // namespace strata::cpu::translator
