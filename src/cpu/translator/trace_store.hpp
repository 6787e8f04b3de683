// Compiled traces that any processor of a machine may use, and a later machine if they are kept in a file:
// asked where something would otherwise be translated, never where code runs. Any thread.
#pragma once

#include "cpu/translator/compiled_trace.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
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

    // As a file keeps it.
    struct Kept {
        Trace trace;
        std::uint32_t age; // how many times it was written there since a machine asked for it
    };

    // What becomes as old is kept no longer. What is new, and may be of no use to anybody else, is not far
    // from it.
    static constexpr std::uint32_t end_of_life = 8, age_of_new = 5;

    // One that was made of what `page` holds, from the bytes of `head` on.
    [[nodiscard]] Found find(const TraceKey& key, std::span<const std::uint8_t> head, const std::byte* page);

    void add(CompiledTrace trace);
    // Of an earlier machine.
    void load(Kept kept);
    // What was loaded and never asked for goes: what is to be loaded next is all that there is by now.
    void forget_unused();

    // For a file that is written now: what this machine asked for begins a life, all else is older. What goes
    // first comes first.
    [[nodiscard]] std::vector<Kept> to_keep() const;
    // Whether a file should be written: something was added, or asked for that would soon be too old.
    [[nodiscard]] bool has_news() const;
    [[nodiscard]] std::size_t bytes() const;
    // How many were added.
    [[nodiscard]] std::uint64_t added() const;

private:
    struct Entry {
        Trace trace;
        std::uint64_t hash;
        std::uint32_t age; // in the file
        bool loaded;       // another machine has it, too
        bool wanted;       // by this machine: it asked for it or made it
        bool used;         // asked for since room was last made

        // In a file that is written now.
        [[nodiscard]] std::uint32_t next_age() const { return !loaded ? age_of_new : wanted ? 0 : age + 1; }
    };

    using Entries = std::list<Entry>;

    // What was loaded has an age.
    void insert(Trace trace, std::optional<std::uint32_t> age);
    void make_room();
    void erase(Entries::iterator entry);

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
