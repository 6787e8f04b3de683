// Hosts that can't: one clear line each, with the way out. And what of a CPU model a host can give.
#include "cpu/kvm/cpuid.hpp"
#include "cpu/kvm/system.hpp"
#include "cpu/x86/model_changes.hpp"
#include "fake_kvm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::cpu::kvm {
namespace {

using testing::HasSubstr;
using x86::Feature;

// A processor with every feature of the model.
std::vector<kvm_cpuid_entry2> cpuid_of(const x86::Model& model) {
    std::vector<kvm_cpuid_entry2> entries;
    for (const auto& info : x86::feature_table()) {
        if (info.location == x86::CpuidRegister::none || !model.has(info.feature)) {
            continue;
        }
        kvm_cpuid_entry2 entry{};
        entry.function = info.leaf;
        entry.index = info.subleaf;
        const auto bit = std::uint32_t{1} << info.bit;
        switch (info.location) {
        case x86::CpuidRegister::eax: entry.eax = bit; break;
        case x86::CpuidRegister::ebx: entry.ebx = bit; break;
        case x86::CpuidRegister::ecx: entry.ecx = bit; break;
        default: entry.edx = bit; break;
        }
        entries.push_back(entry);
    }
    return entries;
}

const x86::Model& model(std::string_view name) { return **x86::find_model(name); }

Error refusal(FakeKvm& kernel) {
    const auto system = System::open(kernel);
    const auto machine = system ? system->create_machine() : std::unexpected(system.error());
    return machine ? Error{} : machine.error();
}

TEST(KvmHost, Good) {
    FakeKvm kernel;
    EXPECT_EQ(refusal(kernel).message, "");
    EXPECT_EQ(*System::open(kernel)->tsc_hz(), 2'400'000'000U);
}

TEST(KvmHost, WithoutTheDevice) {
    FakeKvm kernel;
    kernel.open_error = ENOENT;
    const Error error = refusal(kernel);
    EXPECT_EQ(error.message, "cannot open /dev/kvm: No such file or directory");
    EXPECT_THAT(error.hint, HasSubstr("modprobe kvm_amd"));
    kernel.flags = " fpu vmx ";
    EXPECT_THAT(refusal(kernel).hint, HasSubstr("modprobe kvm_intel"));
    kernel.flags = " fpu hypervisor ";
    EXPECT_THAT(refusal(kernel).hint, HasSubstr("nested virtualization"));
    kernel.flags = " fpu ";
    EXPECT_THAT(refusal(kernel).hint, HasSubstr("firmware's setup"));
}

TEST(KvmHost, ThatOnlyEmulatesIt) {
    FakeKvm kernel;
    kernel.flags = " fpu hypervisor ";
    EXPECT_THAT(refusal(kernel).message, HasSubstr("neither VT-x nor AMD-V"));
}

TEST(KvmHost, WithoutPermission) {
    FakeKvm kernel;
    kernel.open_error = EACCES;
    EXPECT_THAT(refusal(kernel).hint, HasSubstr("usermod -aG kvm"));
}

TEST(KvmHost, OfAnotherInterface) {
    FakeKvm kernel;
    kernel.version = 11;
    EXPECT_THAT(refusal(kernel).message, HasSubstr("version 11"));
}

TEST(KvmHost, WithSomethingElseOfThatName) {
    FakeKvm kernel;
    kernel.version = -1;
    const Error error = refusal(kernel);
    EXPECT_EQ(error.message, "/dev/kvm does not answer as KVM: Inappropriate ioctl for device");
    EXPECT_THAT(error.hint, HasSubstr("another device has its name"));
}

TEST(KvmHost, WithAnOldKernel) {
    for (const auto& [capability, name, since] :
         {std::tuple{KVM_CAP_USER_MEMORY, "user memory", "2.6.25"},
          {KVM_CAP_EXT_CPUID, "CPUID leaves with flags", "2.6.26"},
          {KVM_CAP_VCPU_EVENTS, "vCPU events", "2.6.33"},
          {KVM_CAP_DEBUGREGS, "debug registers", "2.6.35"},
          {KVM_CAP_XSAVE, "XSAVE state", "2.6.37"},
          {KVM_CAP_SIGNAL_MSI, "interrupt messages", "3.5"},
          {KVM_CAP_READONLY_MEM, "read-only memory", "3.7"},
          {KVM_CAP_SPLIT_IRQCHIP, "local APICs in the kernel", "4.5"},
          {KVM_CAP_IMMEDIATE_EXIT, "immediate exit", "4.12"},
          {KVM_CAP_X86_USER_SPACE_MSR, "MSRs in user space", "5.10"},
          {KVM_CAP_X86_MSR_FILTER, "MSR filters", "5.10"},
          {KVM_CAP_VCPU_ATTRIBUTES, "vCPU attributes (the TSC's offset)", "5.16"}}) {
        FakeKvm kernel;
        kernel.without.insert(static_cast<std::uintptr_t>(capability));
        const Error error = refusal(kernel);
        EXPECT_EQ(error.message, std::string("the kernel's KVM lacks ") + name);
        EXPECT_EQ(error.hint, std::string("it came with Linux ") + since + "; Strata needs 5.16 or newer");
    }
}

TEST(KvmHost, HeldByAnotherHypervisor) {
    FakeKvm kernel;
    kernel.create_error = EBUSY;
    const Error error = refusal(kernel);
    EXPECT_EQ(error.message, "cannot create a machine by /dev/kvm: Device or resource busy");
    EXPECT_THAT(error.hint, HasSubstr("another hypervisor"));
}

TEST(KvmModel, WhatTheHostLacksIsNamed) {
    FakeKvm kernel;
    auto host = model("x86-64-v2");
    host.features = x86::without(x86::without(host.features, Feature::pcid), Feature::popcnt);
    kernel.cpuid = cpuid_of(host);
    const auto system = System::open(kernel);
    const auto refused = fit_model(*system, model("x86-64-v2"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "the host's processor can't give the CPU model x86-64-v2: it lacks pcid popcnt");
    EXPECT_THAT(refused.error().hint, HasSubstr("--cpu x86-64-v2,-pcid,-popcnt"));

    const auto reduced = fit_model(*system, *x86::parse_model("x86-64-v2,-pcid,-popcnt"));
    ASSERT_TRUE(reduced);
    EXPECT_FALSE(reduced->has(Feature::pcid));
}

TEST(KvmModel, MaxIsWhatTheHostHas) {
    FakeKvm kernel;
    kernel.cpuid = cpuid_of(model("x86-64-v3"));
    const auto fitted = fit_model(*System::open(kernel), model("max"));
    ASSERT_TRUE(fitted);
    EXPECT_TRUE(fitted->has(Feature::avx2));
    EXPECT_FALSE(fitted->has(Feature::three_d_now));
}

TEST(KvmModel, OlderThanAnyHost) {
    FakeKvm kernel;
    kernel.cpuid = cpuid_of(model("max"));
    EXPECT_FALSE(fit_model(*System::open(kernel), model("386")));
}

} // namespace
} // namespace strata::cpu::kvm
