"""The contract as tests that anyone can run on their own package (``docs/contract.md``).

``pytest --pyargs kvbench_core.conformance --kvbench-policy NAME`` checks what is installed; a
package's own tests derive from the classes in :mod:`~kvbench_core.conformance.policy`,
:mod:`~kvbench_core.conformance.backend`, :mod:`~kvbench_core.conformance.metric`,
:mod:`~kvbench_core.conformance.suite` and :mod:`~kvbench_core.conformance.command`. Nothing is
imported here: pytest loads this package at every start.
"""
