// Memory accesses beyond the TLB's hit path: translation, rights, device memory, accesses that cross pages.
// SDM volume 3 chapters 4 and 5; APM volume 2 chapter 5.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/page_walk.hpp"
#include "cpu/interpreter/shared.hpp"
#include "memory/racing_bytes.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace strata::cpu::interpreter {

namespace {

constexpr std::uint64_t page_offset(std::uint64_t address) { return address & (memory::page_size - 1); }

// How many of `size` bytes at `linear` lie in its page.
unsigned in_first_page(std::uint64_t linear, unsigned size) {
    return static_cast<unsigned>(std::min<std::uint64_t>(size, memory::page_size - page_offset(linear)));
}

// The largest access that the bus takes at once.
unsigned bus_access(unsigned size) { return std::min(8U, std::bit_floor(size)); }

PagingMode paging_mode(const x86::SystemState& system, const x86::Model& model) {
    return {system.cr0,
            system.cr3,
            system.cr4,
            system.efer,
            model.physical_address_bits,
            model.has(x86::Feature::pdpe1gb),
            model.has(x86::Feature::pse36)};
}

} // namespace

BusLock::BusLock(Shared& shared) : shared_(shared) { shared_.bus_lock().lock(); }

BusLock::~BusLock() { shared_.bus_lock().unlock(); }

// ---- rights ----

Cpu::Rights Cpu::rights() const {
    if (cpl_ == 3) {
        return Rights::user;
    }
    const bool smap_off = (system.cr4 & x86::cr4::smap) && (other_flags & x86::flag::ac);
    return smap_off ? Rights::supervisor_smap_off : Rights::supervisor;
}

bool Cpu::alignment_checked() const {
    return cpl_ == 3 && (system.cr0 & x86::cr0::am) && (other_flags & x86::flag::ac);
}

void Cpu::select_tlb() {
    code_mode_.data = alignment_checked() || watching_ ? DataView::never : rights();
    data_tlb_ = &tlb_.data(static_cast<unsigned>(code_mode_.data));
}

void Cpu::check_access(std::uint64_t linear, unsigned size, Access access, unsigned segment, Rights rights) {
    if (!canonical(linear) || !canonical(linear + size - 1)) {
        raise(segment == x86::ss ? x86::Vector::stack_fault : x86::Vector::general_protection);
    }
    constexpr unsigned largest_alignment = 16; // which 32-byte vectors need, too
    const unsigned alignment = std::min(std::bit_floor(size), largest_alignment);
    if (rights == Rights::user && alignment_checked() && linear % alignment != 0) {
        raise(x86::Vector::alignment_check);
    }
    if (watching_) {
        note_access(linear, size, access);
    }
}

// ---- translation ----

WalkAccess Cpu::walk_access(Access access, Rights rights) const {
    return {.access = access,
            .user = rights == Rights::user,
            .smap = rights == Rights::supervisor && (system.cr4 & x86::cr4::smap)};
}

Cpu::Translation Cpu::fill(std::uint64_t linear, Access access, Rights rights) {
    const auto result =
        walk(shared_.memory(), paging_mode(system, model()), linear, walk_access(access, rights));
    if (const auto* fault = std::get_if<WalkFault>(&result)) {
        throw page_fault_at(linear, fault->error_code);
    }
    return enter(linear, std::get<Mapping>(result), access, rights);
}

std::optional<Fault> Cpu::page_fault(std::uint64_t linear, Access access, Rights rights) {
    if (translated(tlb_.data(static_cast<unsigned>(rights)).at(linear), linear, access)) {
        return std::nullopt;
    }
    const auto result =
        walk(shared_.memory(), paging_mode(system, model()), linear, walk_access(access, rights));
    if (const auto* fault = std::get_if<WalkFault>(&result)) {
        return page_fault_at(linear, fault->error_code);
    }
    enter(linear, std::get<Mapping>(result), access, rights);
    return std::nullopt;
}

bool Cpu::fill_ahead(std::uint64_t linear, Rights rights) {
    if (!canonical(linear)) {
        return false;
    }
    WalkAccess ahead = walk_access(Access::read, rights);
    ahead.ahead = true;
    const auto result = walk(shared_.memory(), paging_mode(system, model()), linear, ahead);
    if (const auto* mapping = std::get_if<Mapping>(&result)) {
        enter(linear, *mapping, Access::read, rights);
        return true;
    }
    return false;
}

Cpu::Translation Cpu::enter(std::uint64_t linear, const Mapping& mapping, Access access, Rights rights) {
    memory::GuestMemory& memory = shared_.memory();
    const memory::GuestMemory::Slot* slot = memory.find(mapping.physical);
    if (slot == nullptr) {
        return {mapping.physical, nullptr, false};
    }
    std::byte* host = slot->host + (mapping.physical - slot->base);
    if (access == Access::write && slot->writable) {
        memory.mark_dirty(mapping.physical);
    }
    const bool writable = mapping.writable && mapping.dirty && slot->writable;
    const bool direct_write =
        writable && memory.is_dirty(mapping.physical) && !shared_.has_code(mapping.physical);
    TlbEntry entry = tlb_.data(static_cast<unsigned>(rights)).at(linear);
    entry.read_tag = tag_of(linear);
    entry.write_tag = direct_write ? tag_of(linear) : TlbEntry::none;
    entry.addend = reinterpret_cast<std::uintptr_t>(host) - linear;
    entry.physical = page_of(mapping.physical) | (mapping.global ? TlbEntry::global : 0) |
                     (mapping.large ? TlbEntry::large : 0) | (writable ? TlbEntry::writable : 0);
    if (!mapping.global) {
        tlb_.filled(static_cast<unsigned>(rights), linear);
    }
    if (direct_write) {
        tlb_.writes_allowed(static_cast<unsigned>(rights), linear, page_of(mapping.physical));
    }
    if (mapping.large) {
        tlb_.filled_large(linear);
    }
    return {mapping.physical, host, slot->writable};
}

bool Cpu::translated(const TlbEntry& entry, std::uint64_t linear, Access access) const {
    const auto code_page = [&] { // fill() looks whether it still is one
        return (entry.physical & TlbEntry::writable) && shared_.has_code(page_of(entry.physical));
    };
    return entry.read_tag == tag_of(linear) &&
           (access != Access::write || entry.write_tag == tag_of(linear) || code_page());
}

Cpu::Translation Cpu::translate_data(std::uint64_t linear, Access access, Rights rights) {
    const TlbEntry entry = tlb_.data(static_cast<unsigned>(rights)).at(linear);
    if (translated(entry, linear, access)) {
        return {page_of(entry.physical) | page_offset(linear),
                reinterpret_cast<std::byte*>(entry.addend + linear), true};
    }
    return fill(linear, access, rights);
}

const FetchEntry& Cpu::fetch_page(std::uint64_t linear) {
    if (const FetchEntry& entry = tlb_.fetch(cpl_ == 3, linear); entry.tag == page_of(linear)) [[likely]] {
        return entry;
    }
    const auto entry = try_fetch_page(linear);
    if (!entry) {
        throw entry.error();
    }
    return **entry;
}

std::optional<Fault> Cpu::fetch_fault() {
    if (code_bytes_left() == 0) {
        return Fault{x86::Vector::general_protection};
    }
    const std::uint64_t linear = code_linear();
    if (tlb_.fetch(cpl_ == 3, linear).tag == page_of(linear)) {
        return std::nullopt;
    }
    const auto entry = try_fetch_page(linear);
    return entry ? std::nullopt : std::optional(entry.error());
}

std::expected<const FetchEntry*, Fault> Cpu::try_fetch_page(std::uint64_t linear) {
    if (!canonical(linear)) {
        return std::unexpected(Fault{x86::Vector::general_protection});
    }
    const bool user = cpl_ == 3;
    const auto result = walk(shared_.memory(), paging_mode(system, model()), linear,
                             WalkAccess{.access = Access::fetch, .user = user});
    if (const auto* fault = std::get_if<WalkFault>(&result)) {
        return std::unexpected(page_fault_at(linear, fault->error_code));
    }
    const auto& mapping = std::get<Mapping>(result);
    const memory::GuestPhysical physical = page_of(mapping.physical);
    executed_pages_.add(linear);
    if (mapping.large) {
        tlb_.filled_large(linear);
    }
    const std::byte* host = shared_.memory().host(physical, memory::page_size);
    return &tlb_.set_fetch(user, linear, {page_of(linear), physical, host, mapping.global});
}

std::optional<memory::GuestPhysical> Cpu::translate(std::uint64_t linear) const {
    const auto result =
        walk(shared_.memory(), paging_mode(system, model()), linear, WalkAccess{.probe = true});
    if (const auto* mapping = std::get_if<Mapping>(&result)) {
        return mapping->physical;
    }
    return std::nullopt;
}

// ---- accesses ----

void Cpu::read_physical(const Translation& from, void* to, unsigned size) {
    if (from.host != nullptr) {
        memory::copy_from_guest(to, from.host, size);
        return;
    }
    auto* bytes = static_cast<std::byte*>(to);
    for (unsigned done = 0; done < size;) {
        const unsigned chunk = bus_access(size - done);
        const std::uint64_t value = bus_.read_mmio(from.physical + done, chunk);
        std::memcpy(bytes + done, &value, chunk);
        done += chunk;
    }
}

void Cpu::write_physical(const Translation& to, const void* from, unsigned size) {
    if (to.host != nullptr && to.writable_ram) {
        memory::copy_to_guest(to.host, from, size);
        ram_written(to.physical, size);
        return;
    }
    const auto* bytes = static_cast<const std::byte*>(from);
    for (unsigned done = 0; done < size;) {
        const unsigned chunk = bus_access(size - done);
        std::uint64_t value = 0;
        std::memcpy(&value, bytes + done, chunk);
        bus_.write_mmio(to.physical + done, chunk, value);
        done += chunk;
    }
}

// Code that this processor changes is changed for its next instruction.
void Cpu::ram_written(memory::GuestPhysical address, unsigned size) {
    shared_.memory().written(address, size);
    take_code_notices();
}

void Cpu::read_slow(std::uint64_t linear, void* to, unsigned size, unsigned segment, Rights rights) {
    check_access(linear, size, Access::read, segment, rights);
    const unsigned first = in_first_page(linear, size);
    const Translation here = translate_data(linear, Access::read, rights);
    if (first == size) {
        read_physical(here, to, size);
        return;
    }
    const Translation there = translate_data(next_page(linear), Access::read, rights);
    read_physical(here, to, first);
    read_physical(there, static_cast<std::byte*>(to) + first, size - first);
}

// Both pages are translated before anything is written.
void Cpu::write_slow(std::uint64_t linear, const void* from, unsigned size, unsigned segment, Rights rights) {
    check_access(linear, size, Access::write, segment, rights);
    const unsigned first = in_first_page(linear, size);
    const Translation here = translate_data(linear, Access::write, rights);
    if (first == size) {
        write_physical(here, from, size);
        return;
    }
    const Translation there = translate_data(next_page(linear), Access::write, rights);
    write_physical(here, from, first);
    write_physical(there, static_cast<const std::byte*>(from) + first, size - first);
}

std::uint64_t Cpu::next_page(std::uint64_t linear) const {
    const std::uint64_t next = page_of(linear) + memory::page_size;
    return long_mode() ? next : static_cast<std::uint32_t>(next);
}

std::span<std::byte> Cpu::direct(unsigned segment, std::uint64_t offset, Access access, std::uint64_t most) {
    const std::uint64_t end = accessible_end_[segment][access == Access::write];
    if (offset >= end) {
        return {};
    }
    const std::uint64_t address = linear(segment, offset, 1, access);
    const std::uintptr_t addend = data_tlb_->at(address).addend;
    const auto belongs = [&](std::uint64_t page) {
        const TlbEntry entry = data_tlb_->at(page);
        return (access == Access::write ? entry.write_tag : entry.read_tag) == tag_of(page) &&
               entry.addend == addend;
    };
    if (!belongs(address)) {
        return {};
    }
    most = std::min(most, end - offset);
    std::uint64_t size = memory::page_size - page_offset(address);
    // Not past 4 GiB, where addresses may wrap.
    while (size < most && static_cast<std::uint32_t>(address + size) != 0 && belongs(address + size)) {
        size += memory::page_size;
    }
    return {reinterpret_cast<std::byte*>(addend + address), std::min(size, most)};
}

void Cpu::probe(std::uint64_t linear, unsigned size, Access access, unsigned segment, Rights rights) {
    check_access(linear, size, access, segment, rights);
    static_cast<void>(translate_data(linear, access, rights));
    if (in_first_page(linear, size) != size) {
        static_cast<void>(translate_data(next_page(linear), access, rights));
    }
}

void Cpu::probe_at(std::uint64_t linear, unsigned size, Access access, unsigned segment) {
    probe(linear, size, access, segment, rights());
}

void Cpu::probe_linear(std::uint64_t address, unsigned size, Access access, bool implicit_supervisor) {
    probe(address, size, access, x86::ds, rights(implicit_supervisor));
}

std::byte* Cpu::locked_host(std::uint64_t linear, unsigned size, unsigned segment) {
    probe(linear, size, Access::write, segment, rights());
    if (in_first_page(linear, size) != size) {
        return nullptr;
    }
    const Translation to = translate_data(linear, Access::write, rights());
    return to.writable_ram ? to.host : nullptr;
}

void Cpu::locked_written(std::uint64_t linear, unsigned size) {
    ram_written(translate_data(linear, Access::write, rights()).physical, size);
}

// ---- invalidation ----

void Cpu::flush_tlb(bool global_too) {
    if (global_too) {
        tlb_.flush_all();
        spaces_.forget_all();
        executed_pages_.clear();
        global_generation_ = ++last_generation_;
    } else {
        tlb_.flush_but_global();
    }
    generation_ = ++last_generation_;
    end_block();
}

void Cpu::invalidate_page(std::uint64_t linear) {
    const bool larger = tlb_.invalidate(linear);
    if (larger || executed_pages_.contains(linear)) {
        generation_ = ++last_generation_;
        global_generation_ = ++last_generation_;
    }
    end_block();
}

void Cpu::invalidate_pcid(std::uint64_t pcid) {
    if (pcid == this->pcid()) {
        flush_tlb(false);
    } else {
        spaces_.forget(pcid);
    }
}

void Cpu::invalidate_all_but_global() {
    spaces_.forget_all();
    flush_tlb(false);
}

void Cpu::load_cr3(std::uint64_t value, bool keep) {
    const std::uint64_t left = pcid();
    system.cr3 = value;
    const std::uint64_t entered = pcid();
    if (left == entered) {
        if (!keep) {
            flush_tlb(false);
        }
        end_block();
        return;
    }
    tlb_.leave_space(spaces_.put(left));
    if (!keep) {
        spaces_.forget(entered);
    } else if (const SavedSpace* known = spaces_.find(entered)) {
        tlb_.return_to_space(*known, [&](memory::GuestPhysical page) {
            return shared_.memory().is_dirty(page) && !shared_.has_code(page);
        });
    }
    generation_ = ++last_generation_;
    end_block();
}

} // namespace strata::cpu::interpreter
