// One of KVM's descriptors (the system's, a machine's, a vCPU's): typed requests, whose failures name the
// request.
#pragma once

#include "base/error.hpp"
#include "cpu/kvm/calls.hpp"

#include <bit>
#include <string_view>

namespace strata::cpu::kvm {

class Descriptor {
public:
    Descriptor(Calls& calls, FileDescriptor descriptor)
        : calls_(&calls), descriptor_(std::move(descriptor)) {}

    [[nodiscard]] Calls& calls() const { return *calls_; }

    [[nodiscard]] int number() const { return descriptor_.get(); }

    // As ioctl(2).
    [[nodiscard]] int raw(unsigned long request, std::uintptr_t argument = 0) const {
        return calls_->ioctl(descriptor_.get(), request, argument);
    }

    template <class T>
    [[nodiscard]] int raw(unsigned long request, T* argument) const {
        return raw(request, std::bit_cast<std::uintptr_t>(argument));
    }

    // `name` is the request's, for the error; the value is the call's.
    template <class T>
    [[nodiscard]] Result<int> call(unsigned long request, std::string_view name, T argument) const {
        const int value = raw(request, argument);
        if (value < 0) {
            return fail_errno("do", name);
        }
        return value;
    }

private:
    Calls* calls_;
    FileDescriptor descriptor_;
};

// call() with the request's own name.
#define STRATA_KVM_CALL(descriptor, request, argument) (descriptor).call(request, #request, argument)

} // namespace strata::cpu::kvm
