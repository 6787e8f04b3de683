#include "cpu/translator/trace_store.hpp"

#include <algorithm>
#include <string_view>

namespace strata::cpu::translator {

namespace {

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
    constexpr std::uint64_t odd = 0x9E37'79B9'7F4A'7C15;
    hash = (hash ^ value) * odd;
    return hash ^ hash >> 29;
}

std::uint64_t hash_of(const TraceKey& key, std::span<const std::uint8_t> head) {
    const std::uint64_t flags = key.plain | key.unrolled << 1 | key.smap << 2 | key.counted << 3;
    std::uint64_t hash = mixed(key.models, std::uint64_t{key.offset} << 32 | key.mode << 8 | flags);
    for (; head.size() >= 8; head = head.subspan(8)) {
        std::uint64_t word = 0;
        std::memcpy(&word, head.data(), sizeof word);
        hash = mixed(hash, word);
    }
    std::uint64_t rest = head.size();
    for (const std::uint8_t byte : head) {
        rest = rest << 8 | byte;
    }
    return mixed(hash, rest);
}

std::uint64_t hash_of(const CompiledTrace& trace) {
    return hash_of(trace.header().key, trace.guest().first(trace.header().head));
}

} // namespace

TraceStore::Found TraceStore::find(const TraceKey& key, std::span<const std::uint8_t> head,
                                   const std::byte* page) {
    const std::uint64_t hash = hash_of(key, head);
    const std::lock_guard lock(mutex_);
    const auto [first, end] = by_hash_.equal_range(hash);
    for (auto candidate = first; candidate != end; ++candidate) {
        Entry& entry = *candidate->second;
        if (entry.trace->header().key == key && entry.trace->made_of(page)) {
            entry.used = entry.wanted = true;
            return {entry.trace, entry.loaded};
        }
    }
    return {};
}

void TraceStore::add(CompiledTrace trace) {
    insert(std::make_shared<const CompiledTrace>(std::move(trace)), std::nullopt);
}

void TraceStore::load(Kept kept) { insert(std::move(kept.trace), kept.age); }

// Two processors, or two machines, may have made the same at the same time.
void TraceStore::insert(Trace trace, std::optional<std::uint32_t> age) {
    const std::uint64_t hash = hash_of(*trace);
    const std::lock_guard lock(mutex_);
    const auto [first, end] = by_hash_.equal_range(hash);
    const auto same =
        std::find_if(first, end, [&](const auto& known) { return *known.second->trace == *trace; });
    if (same != end) {
        same->second->wanted |= !age;
        same->second->loaded |= age.has_value();
        return;
    }
    bytes_ += trace->bytes().size();
    added_ += age ? 0 : 1;
    entries_.push_back({.trace = std::move(trace),
                        .hash = hash,
                        .age = age.value_or(0),
                        .loaded = age.has_value(),
                        .wanted = !age,
                        .used = false});
    by_hash_.emplace(hash, std::prev(entries_.end()));
    make_room();
}

void TraceStore::forget_unused() {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto next = std::next(entry);
        if (!entry->wanted) {
            erase(entry);
        }
        entry = next;
    }
}

// What was used since it was last looked at gets another round.
void TraceStore::make_room() {
    while (bytes_ > most_bytes_) {
        const auto oldest = entries_.begin();
        if (oldest->used) {
            oldest->used = false;
            entries_.splice(entries_.end(), entries_, oldest);
            continue;
        }
        erase(oldest);
    }
}

void TraceStore::erase(Entries::iterator entry) {
    auto known = by_hash_.equal_range(entry->hash).first;
    while (known->second != entry) {
        ++known;
    }
    by_hash_.erase(known);
    bytes_ -= entry->trace->bytes().size();
    entries_.erase(entry);
}

std::vector<TraceStore::Kept> TraceStore::to_keep() const {
    const std::lock_guard lock(mutex_);
    std::vector<Kept> kept;
    kept.reserve(entries_.size());
    for (std::uint32_t age = end_of_life; age-- > 0;) {
        for (const Entry& entry : entries_) {
            if (entry.next_age() == age) {
                kept.push_back({entry.trace, age});
            }
        }
    }
    return kept;
}

bool TraceStore::has_news() const {
    const std::lock_guard lock(mutex_);
    return added_ != 0 || std::ranges::any_of(entries_, [](const Entry& entry) {
               return entry.wanted && entry.age >= end_of_life / 2;
           });
}

std::size_t TraceStore::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

std::uint64_t TraceStore::added() const {
    const std::lock_guard lock(mutex_);
    return added_;
}

std::uint64_t fingerprint(const x86::Model& guest, const x86::Model& host, const Stubs& stubs) {
    auto hash = static_cast<std::uint64_t>(stubs.walk_region - stubs.enter); // from the first to the last
    for (const x86::Model* model : {&guest, &host}) {
        for (const char letter : model->vendor) {
            hash = mixed(hash, static_cast<unsigned char>(letter));
        }
        hash = mixed(hash, x86::signature(*model));
        for (unsigned feature = 0; feature < static_cast<unsigned>(x86::Feature::count); ++feature) {
            hash = mixed(hash, feature << 1 | (model->has(static_cast<x86::Feature>(feature)) ? 1 : 0));
        }
    }
    return hash;
}

} // namespace strata::cpu::translator
